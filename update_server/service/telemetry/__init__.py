"""What installs tell: taken in, digested, counted, set aside."""
