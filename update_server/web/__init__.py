"""The two HTTP apps, and what they share."""
