"""What differs between operating systems, behind one Protocol."""
