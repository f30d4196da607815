"""Runs $BLOCK, the lines of a card for Python, as a program that has a message to send does."""

import os
import smtplib  # noqa: F401
import ssl  # noqa: F401
from email.message import EmailMessage

message = EmailMessage()
message["From"], message["To"] = os.environ["MAIL_FROM"], os.environ["MAIL_TO"]
message["Subject"] = "Reminder"
message.set_content("Tomorrow at nine.")
exec(os.environ["BLOCK"])  # noqa: S102 (what it is for)
