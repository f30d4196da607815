"""The version of Relay, in one place: banner, metrics, status and package all read it here."""

VERSION = "0.1.0"
