# ruff: noqa: E501 - quoted as the providers say it
"""One reply or more for each row that the providers' documentation names: provider, stage, reply, what it means.

The meaning is `permanent`, `transient`, `slower` (transient, with fewer connections), or the reason of a hold, with
`this From` where nothing else is held.
"""

from __future__ import annotations

from relay.config.providers import Provider

M365: Provider = "microsoft365"
GMAIL: Provider = "gmail"
SES: Provider = "ses"
SMTP: Provider = "smtp"

REPLIES: list[tuple[Provider, str, str, str]] = [
    # Microsoft Graph, in the words of relay/upstream/graph_answers.toml
    (
        M365,
        "auth",
        "535 5.7.1 HTTP 403 ErrorAccessDenied: Access is denied. Check credentials and try again.",
        "consent",
    ),
    (M365, "auth", "535 5.7.8 HTTP 401 InvalidAuthenticationToken: Access token validation failure.", "auth"),
    (M365, "auth", "535 5.7.0 HTTP 403", "auth"),
    (M365, "auth", "550 5.2.1 HTTP 404 ErrorInvalidUser: The requested user 'x@y.test' is invalid.", "licence"),
    (M365, "auth", "550 5.2.1 HTTP 404 MailboxNotEnabledForRESTAPI: The mailbox is hosted on-premise.", "licence"),
    (M365, "mail", "451 4.3.2 HTTP 429 ApplicationThrottled: Over its MailboxConcurrency limit.", "transient"),
    (M365, "mail", "451 4.3.2 HTTP 503 ErrorServerBusy: The server cannot service this request.", "transient"),
    (M365, "data", "554 5.2.0 HTTP 403 ErrorSendAsDenied: Cannot submit message.", "send_as, this From"),
    (M365, "data", "554 5.6.0 HTTP 400 ErrorMimeContentInvalidBase64String: Invalid base64.", "permanent"),
    (M365, "data", "552 5.3.4 HTTP 400 ErrorMessageSizeExceeded: The message exceeds the size.", "permanent"),
    (M365, "data", "554 5.2.2 HTTP 403 ErrorQuotaExceeded: The mailbox has exceeded its quota.", "quota"),
    (M365, "data", "554 5.2.0 HTTP 403 ErrorExceededMessageLimit: Cannot submit message.", "quota"),
    (M365, "data", "550 5.1.8 HTTP 403 ErrorMessageSubmissionBlocked: The mailbox is blocked.", "licence"),
    (M365, "data", "451 4.3.0 HTTP 400 BadRequest: Something that nobody has heard of.", "transient"),
    (M365, "data", "451 4.3.0 HTTP 500 ErrorInternalServerError: The operation failed.", "transient"),
    # Exchange Online at AUTH
    (
        M365,
        "auth",
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
        "auth",
    ),
    (
        M365,
        "auth",
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.",
        "auth",
    ),
    (
        M365,
        "auth",
        "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy.",
        "auth",
    ),
    (M365, "auth", "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.", "auth"),
    (
        M365,
        "auth",
        "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.",
        "auth",
    ),
    (M365, "auth", "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.", "auth"),
    (M365, "auth", "535 5.7.139 Authentication unsuccessful, the federated STS service was unreachable.", "transient"),
    (M365, "auth", "535 5.7.139 Authentication unsuccessful, the STS URL does not support HTTPS.", "auth"),
    (M365, "auth", "535 5.7.3 Authentication unsuccessful [SYBPR01CA0001.ausprd01.prod.outlook.com]", "auth"),
    (M365, "auth", "501 5.5.127 Token is about to expire.", "transient"),
    (M365, "mail", "501 5.5.127 Token is about to expire.", "transient"),
    (M365, "auth", "504 5.7.4 Unrecognized authentication type", "auth"),
    (M365, "auth", "550 5.7.30 Basic authentication is not supported for Client Submission", "auth"),
    (M365, "auth", "554 5.2.2 Submission quota exceeded", "quota"),
    (M365, "auth", "454 4.7.0 Temporary authentication failure", "transient"),
    # Exchange Online in a transaction
    (M365, "mail", "530 5.7.57 Client not authenticated to send mail.", "auth"),
    (M365, "data", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "send_as, this From"),
    (M365, "data", "550 5.7.1 Client does not have permissions to send as this sender", "send_as, this From"),
    (
        M365,
        "data",
        "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message",
        "send_as, this From",
    ),
    (
        M365,
        "data",
        "554 5.2.252 SendAsDenied; no-reply@clinic.test not allowed to send as lab@clinic.test",
        "send_as, this From",
    ),
    (
        M365,
        "data",
        "550 5.7.750 Service unavailable. Client blocked from sending from unregistered domains",
        "send_as, this From",
    ),
    (M365, "data", "550 5.1.8 Access denied, bad outbound sender", "licence"),
    (
        M365,
        "data",
        "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
        "quota",
    ),
    (
        M365,
        "rcpt",
        "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
        "quota",
    ),
    (
        M365,
        "data",
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message",
        "quota",
    ),
    (M365, "data", "550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit", "quota"),
    (
        M365,
        "data",
        "550 5.7.232 Your message can't be sent because your trial tenant exceeded its daily limit",
        "quota",
    ),
    (M365, "data", "554 5.2.2 STOREDRV.Submission.Exception:QuotaExceededException; mailbox full", "quota"),
    (M365, "data", "554 5.2.0 STOREDRV.Submission.Exception:QuotaExceededException; Failed to process", "quota"),
    (M365, "mail", "554 5.2.2 mailbox full", "quota"),
    (M365, "data", "451 mailbox full", "transient"),
    (M365, "data", "554 5.2.2 Submission quota exceeded", "quota"),
    (M365, "rcpt", "554 5.2.2 mailbox full", "permanent"),
    (
        M365,
        "data",
        "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending",
        "slower",
    ),
    (M365, "data", "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", "slower"),
    (M365, "mail", "421 4.3.2 The maximum number of concurrent connections has exceeded a limit", "slower"),
    (M365, "mail", "421 4.3.2 Service not active", "transient"),
    (M365, "data", "432 Try again", "slower"),
    (M365, "opening", "550 5.7.68 TenantInboundAttribution; Direct Send not allowed for this organization", "auth"),
    (M365, "data", "430 4.2.0 STOREDRV; mailbox logon failure", "transient; licence after 3600 s"),
    (
        M365,
        "data",
        "550 5.7.1 TRANSPORT.RULES.RejectMessage; the message was rejected by organization policy",
        "permanent",
    ),
    (M365, "rcpt", "550 5.4.1 Recipient address rejected: Access denied.", "permanent"),
    (M365, "rcpt", "550 5.7.64 TenantAttribution; Relay Access Denied", "auth"),
    (M365, "mail", "550 5.7.68 TenantInboundAttribution; Direct Send not allowed for this organization", "auth"),
    (M365, "data", "550 5.7.501 Access denied, spam abuse detected", "licence"),
    (M365, "data", "550 5.7.502 Access denied, banned sender", "licence"),
    (M365, "data", "550 5.7.503 Access denied, banned sender", "licence"),
    (M365, "mail", "550 5.7.508 Access denied, [192.0.2.1] has exceeded permitted limits", "licence"),
    (M365, "data", "550 5.7.504 Access denied", "permanent"),
    (M365, "data", "550 5.7.509 Access denied, sending domain does not pass DMARC verification", "permanent"),
    (M365, "data", "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant", "permanent"),
    (M365, "data", "550 5.1.20 Multiple From addresses are not allowed without Sender address", "permanent"),
    (M365, "data", "550 5.6.11 SMTPSEND.BareLinefeedsAreIllegal", "permanent"),
    (M365, "data", "550 5.7.705 Access denied, tenant has exceeded threshold", "licence"),
    (M365, "data", "550 5.7.708 Access denied, traffic not accepted from this IP", "licence"),
    (M365, "opening", "421 4.7.66 TLS 1.0 and 1.1 are not supported. https://aka.ms/smtp_auth_tls", "auth"),
    (M365, "mail", "421 4.7.66 TLS 1.0 and 1.1 are not supported. https://aka.ms/smtp_auth_tls", "auth"),
    (M365, "mail", "451 4.7.500 Server busy. Please try again later from [192.0.2.1].", "transient"),
    (M365, "mail", "451 4.7.699 Access denied, please try again later", "transient"),
    (M365, "data", "451 4.7.850 Access denied, please try again later", "transient"),
    (M365, "mail", "421 4.4.1 Connection timed out. Total session duration: 00:20:55", "transient"),
    (M365, "data", "552 5.3.4 Message size exceeds fixed maximum message size", "permanent"),
    (M365, "mail", "550 5.3.4 Message too big", "permanent"),
    # Gmail and Workspace
    (
        GMAIL,
        "auth",
        "534 5.7.9 Application-specific password required. https://support.google.com/mail/?p=InvalidSecondFactor",
        "auth",
    ),
    (GMAIL, "auth", "535 5.7.8 Username and Password not accepted.", "auth"),
    (GMAIL, "mail", "530 5.7.0 Authentication Required.", "auth"),
    (GMAIL, "mail", "530 5.5.1 Authentication Required.", "auth"),
    (GMAIL, "auth", "504 5.7.4 Unrecognized Authentication Type", "auth"),
    (GMAIL, "auth", "454 4.7.0 Cannot authenticate due to a temporary system problem. Try again later.", "transient"),
    (GMAIL, "auth", "454 4.7.0 Too many login attempts, please try again later.", "slower"),
    (GMAIL, "mail", "421 4.7.0 Temporary System Problem. Try again later.", "transient"),
    (GMAIL, "opening", "421 4.7.0 Try again later, closing connection.", "transient"),
    (GMAIL, "data", "421 4.3.0 Temporary System Problem.", "transient"),
    (GMAIL, "data", "421 4.4.5 Server busy, try again later.", "transient"),
    (GMAIL, "mail", "550 5.4.5 Daily user sending limit exceeded. https://support.google.com/a/answer/166852", "quota"),
    (GMAIL, "data", "550 5.4.5 Daily user sending quota exceeded.", "quota"),
    (GMAIL, "mail", "450 4.2.1 Peak SMTP relay limit exceeded for customer. This is a temporary error.", "slower"),
    (GMAIL, "mail", "550 5.4.5 Daily SMTP relay limit exceeded for user.", "quota"),
    (GMAIL, "mail", "550 5.7.1 Daily SMTP relay limit exceeded for customer.", "quota"),
    (
        GMAIL,
        "mail",
        "550 5.7.1 Invalid credentials for relay [192.0.2.1]. The IP address you've registered in your Workspace SMTP Relay service doesn't match domain of the account this email is being sent from.",
        "auth",
    ),
    (GMAIL, "data", "552 5.2.3 Your message exceeded Google's message size limits.", "permanent"),
    (GMAIL, "rcpt", "550 5.1.1 The email account that you tried to reach does not exist.", "permanent"),
    (GMAIL, "data", "550 5.7.1 Our system has detected that this message is likely unsolicited mail.", "permanent"),
    # Amazon SES
    (SES, "opening", "421 Too many concurrent SMTP connections", "slower"),
    (SES, "mail", "421 Too many concurrent SMTP connections", "slower"),
    (SES, "data", "451 Temporary service failure", "transient"),
    (SES, "data", "451 Timeout waiting for data from client", "transient"),
    (SES, "data", "454 Throttling failure: Maximum sending rate exceeded.", "slower"),
    (SES, "data", "454 Throttling failure: Daily message quota exceeded.", "quota"),
    (SES, "auth", "454 Temporary authentication failure", "transient"),
    (SES, "mail", "530 Authentication required", "auth"),
    (SES, "auth", "535 Authentication Credentials Invalid", "auth"),
    (SES, "auth", "535 Account not subscribed to SES", "licence"),
    (SES, "data", "554 Message rejected: Sending paused for this account.", "licence"),
    (SES, "data", "552 Message is too long.", "permanent"),
    (SES, "data", "554 Access denied: User is not authorized to perform ses:SendRawEmail", "auth"),
    (SES, "data", "554 Message rejected: Email address is not verified.", "send_as, this From"),
    (
        M365,
        "rcpt",
        "550 5.5.105 External sending is not supported for High Volume Email accounts.",
        "permanent",
    ),
    # Amazon SES by its API, as upstream words it
    (SES, "auth", "535 Signature expired: 20260302T010000Z is now earlier than ... (InvalidSignature)", "auth"),
    (
        SES,
        "auth",
        "535 The security token included in the request is expired (ExpiredToken)",
        "transient; auth after 600 s",
    ),
    (SES, "auth", "535 The security token included in the request is invalid. (UnrecognizedClient)", "auth"),
    (SES, "auth", "535 The request signature we calculated does not match ... (InvalidSignature)", "auth"),
    (
        SES,
        "data",
        "554 Access denied: User: arn:aws:iam::1:user/relay is not authorized to perform: ses:SendRawEmail on resource: arn:aws:ses:eu-west-1:1:identity/clinic.test",
        "send_as, this From",
    ),
    (SES, "data", "554 Domain not verified: The message can't be sent because ...", "send_as, this From"),
    (SES, "data", "554 Account suspended: ... permanently restricted.", "licence"),
    (SES, "data", "554 Sending paused: Email sending is disabled for the account.", "licence"),
    (SES, "data", "454 Throttling failure: too many instances (LimitExceeded)", "slower"),
    (SES, "data", "554 Transaction failed: Invalid MIME", "permanent"),
    # Any server
    (SMTP, "opening", "554 5.3.2 No SMTP service here", "transient"),
    (SMTP, "opening", "502 5.5.1 Command not implemented", "transient"),
    (SMTP, "opening", "454 4.7.0 TLS not available due to temporary reason", "transient"),
    (SMTP, "opening", "421 4.7.0 Too many connections from your host", "slower"),
    (SMTP, "auth", "535 5.7.8 Error: authentication failed", "auth"),
    (SMTP, "auth", "454 4.7.0 Temporary authentication failure", "transient"),
    (SMTP, "mail", "530 5.7.0 Must issue a STARTTLS command first", "auth"),
    (SMTP, "mail", "503 AUTH first (#5.5.1)", "auth"),
    (SMTP, "rcpt", "503 5.5.1 Please log in first", "auth"),
    (SMTP, "mail", "503 5.5.1 Bad sequence of commands", "permanent"),
    (
        SMTP,
        "data",
        "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied",
        "send_as, this From",
    ),
    (SMTP, "mail", "535 5.7.8 Not logged in", "auth"),
    (
        SMTP,
        "mail",
        "553 5.7.1 <lab@clinic.test>: Sender address rejected: not owned by user clinic",
        "send_as, this From",
    ),
    (SMTP, "data", "550 You are not authorized to send from this address", "send_as, this From"),
    (SMTP, "mail", "550 5.7.1 Spam", "permanent"),
    (SMTP, "mail", "552 5.3.4 Message size exceeds fixed limit", "permanent"),
    (SMTP, "rcpt", "550 5.1.1 User unknown", "permanent"),
    (SMTP, "rcpt", "550 5.1.2 Host unknown", "permanent"),
    (SMTP, "rcpt", "550 5.2.1 Mailbox disabled", "permanent"),
    (SMTP, "rcpt", "554 5.2.2 Mailbox full", "permanent"),
    (SMTP, "rcpt", "552 5.2.2 Mailbox full", "transient"),
    (SMTP, "rcpt", "552 Too many recipients", "transient"),
    (SMTP, "rcpt", "552 5.5.3 Too many recipients", "transient"),
    (SMTP, "rcpt", "550 5.5.3 Too many recipients", "transient"),
    (SMTP, "rcpt", "550 5.7.1 SPF fail: 192.0.2.1 is not allowed to send from clinic.test", "permanent"),
    (SMTP, "rcpt", "452 4.5.3 Too many recipients", "transient"),
    (SMTP, "rcpt", "450 4.2.0 Greylisted", "transient"),
    (SMTP, "rcpt", "451 4.2.2 Over quota", "transient"),
    (SMTP, "data", "550 5.4.6 Too many hops", "permanent"),
    (SMTP, "data", "554 5.7.1 Message rejected as spam", "permanent"),
    (SMTP, "data", "554 Transaction failed", "permanent"),
    (SMTP, "data", "421 4.3.2 Shutting down", "transient"),
    (SMTP, "data", "250 2.0.0 Ok", "transient"),
    (SMTP, "mail", "421 4.7.0 Too many concurrent SMTP connections", "slower"),
    # Entra and OAuth: the text is the authority's
    *(
        (M365, "token", f"535 5.7.0 AADSTS{code}: ...", "secret")
        for code in (7000215, 7000222, 700027, 700030, 50012, 7000218)
    ),
    *(
        (M365, "token", f"535 5.7.0 AADSTS{code}: ...", "consent")
        for code in (700016, 700011, 65001, 90094, 650056, 650057, 70011, 28002, 700022)
    ),
    *(
        (M365, "token", f"535 5.7.0 AADSTS{code}: ...", "auth")
        for code in (90002, 90038, 900382, 900432, 50194, 53003, 530032, 50131, 53000, 53001, 53002)
    ),
    *(
        (M365, "token", f"535 5.7.0 AADSTS{code}: ...", "auth")
        for code in (530035, 50076, 50079, 50074, 50158, 50126, 50055, 50057, 50034, 50053)
    ),
    *(
        (M365, "token", f"535 5.7.0 AADSTS{code}: ...", "auth")
        for code in (70000, 70008, 700082, 50173, 50089, 70043, 700084, 7000112, 70001)
    ),
    *(
        (M365, "token", f"535 5.7.0 AADSTS{code}: ...", "transient")
        for code in (50196, 90033, 50033, 90006, 90012, 90024, 90055)
    ),
    (M365, "token", "451 4.7.0 temporarily_unavailable", "transient"),
    (M365, "token", "535 5.7.0 invalid_client", "secret"),
    (M365, "token", "535 5.7.0 unauthorized_client", "consent"),
    (M365, "token", "535 5.7.0 interaction_required", "auth"),
    (GMAIL, "token", "535 5.7.0 invalid_grant: Token has been expired or revoked.", "auth"),
]
