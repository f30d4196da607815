"""Microsoft 365, Entra, Gmail and SES as far as their clients can see: for `relay demo`, rehearsals and tests."""
