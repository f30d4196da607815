"""What tests share: real processes and servers, started privately on loopback and ended with the test."""
