# ruff: noqa: E501 - quoted as libraries and providers say it
"""Texts as people paste them: from logs, exceptions of .NET, Java, Ruby and Python, answers of authorities; lower case."""

from __future__ import annotations

import base64

import pytest

from relay.simulator.faults import known_faults
from relay.transfer.pasted import explanation_of_text, upstream_meant
from tests.unit.diagnosis.test_simulated import DIAGNOSES
from tests.unit.transfer.test_explanation import UPSTREAMS


def _in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PASTED = [
    (
        "2026-03-02T09:30:11.123Z ERROR [mailer] smtplib.SMTPAuthenticationError: (535, b'5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information. [SY5P282CA0181.AUSP282.PROD.OUTLOOK.COM 2026-03-02T09:30:11.001Z 08DD5A]')",
        "smtp_auth_disabled_for_tenant",
    ),
    (
        "535 5.7.139 authentication unsuccessful, smtpclientauthentication is disabled for the mailbox. visit https://aka.ms/smtp_auth_disabled",
        "smtp_auth_disabled_for_mailbox",
    ),
    (
        "System.Net.Mail.SmtpException: The SMTP server requires a secure connection or the client was not authenticated. The server response was: 5.7.57 Client not authenticated to send mail. [ME2PR01CA0142.ausprd01.prod.outlook.com]",
        "not_authenticated",
    ),
    (
        "MailKit.Security.AuthenticationException: 535: 5.7.3 Authentication unsuccessful [SYBPR01CA0101.ausprd01.prod.outlook.com 2026-01-01T00:00:00.000Z 08DE]",
        "token_not_accepted",
    ),
    (
        "javax.mail.AuthenticationFailedException: 535 5.7.3 Authentication unsuccessful [BN9PR03CA0775.namprd03.prod.outlook.com]\n\tat com.sun.mail.smtp.SMTPTransport$Authenticator.authenticate(SMTPTransport.java:965)",
        "token_not_accepted",
    ),
    (
        "Net::SMTPAuthenticationError: 535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.",
        "conditional_access",
    ),
    (
        "Net::SMTPFatalError (550 5.7.60 SMTP; Client does not have permissions to send as this sender)",
        "send_as_not_permitted",
    ),
    (
        "com.sun.mail.smtp.SMTPSendFailedException: 554 5.2.252 SendAsDenied; a@clinic.test not allowed to send as b@clinic.test; STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due to a permanent exception with message [BeginDiagnosticData]Cannot submit message. 0.35250:0A001F84[EndDiagnosticData]",
        "send_as_not_permitted",
    ),
    (
        "Error: Invalid login: 535-5.7.8 Username and Password not accepted. For more information, go to\n535 5.7.8  https://support.google.com/mail/?p=BadCredentials 98e67ed59e1d1-2c7 - gsmtp",
        "gmail_password_refused",
    ),
    (
        "SMTP Error: 534 5.7.9 Application-specific password required. Learn more at 5.7.9 https://support.google.com/mail/?p=InvalidSecondFactor h20 - gsmtp",
        "gmail_app_password_required",
    ),
    (
        "550-5.4.5 Daily user sending limit exceeded. For more information on Gmail\r\n550-5.4.5 sending limits go to\r\n550 5.4.5  https://support.google.com/a/answer/166852 d2e1 - gsmtp",
        "gmail_daily_limit",
    ),
    (
        "2026-11-22 10:00:00,123 WARN botocore.exceptions.ClientError: An error occurred (MessageRejected) when calling the SendRawEmail operation: Email address is not verified. The following identities failed the check in region AP-SOUTHEAST-2: no-reply@clinic.test",
        "ses_sender_not_verified",
    ),
    (
        "554 Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: a@b.test",
        "ses_sender_not_verified",
    ),
    ("535 authentication credentials invalid", "ses_credentials_invalid"),
    ("com.sun.mail.smtp.SMTPSendFailedException: 454 Throttling failure: Maximum sending rate exceeded.", "ses_rate"),
    ("smtp; 454 Throttling failure: Daily message quota exceeded.", "ses_daily_quota"),
    (
        "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '66666666-7777-8888-9999-000000000000'. Trace ID: 0f1e2d3c-0000-0000-0000-000000000000 Correlation ID: 11111111-2222-3333-4444-555555555555 Timestamp: 2026-03-02 09:30:11Z",
        "client_secret_wrong",
    ),
    (
        '{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys for app \'x\' are expired.","error_codes":[7000222],"timestamp":"2026-03-02 09:30:11Z","trace_id":"0f1e"}',
        "client_secret_expired",
    ),
    ('{"error":"invalid_client","error_codes":[7000222],"trace_id":"0f1e2d3c"}', "client_secret_expired"),
    (
        "microsoft.identity.client.msalserviceexception: a configuration issue is preventing authentication - aadsts700016: application with identifier 'x' was not found in the directory 'clinic'.",
        "application_not_found",
    ),
    (
        "MSAL.NetCore.4.61.MsalUiRequiredException: ErrorCode: invalid_grant AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor authentication",
        "token_mfa",
    ),
    ("AADSTS 65001", "consent_missing"),
    ("AADSTS-65001", "consent_missing"),
    ("error_code=65001", "consent_missing"),
    ("https://login.microsoftonline.com/error?code=7000215", "client_secret_wrong"),
    ("Sign-in error code 53003", "token_conditional_access"),
    (_in_base64('{"status":"401","schemes":"Bearer","scope":"https://mail.google.com/"}'), "gmail_token_refused"),
    (
        "334 " + _in_base64('{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}'),
        "gmail_token_refused",
    ),
    (
        "AUTH XOAUTH2: server said 334 " + _in_base64('{"status":"401","schemes":"Bearer","scope":"SMTP.SendAsApp"}'),
        "token_not_accepted",
    ),
    (
        "334 " + _in_base64('{"status":"401","schemes":"bearer","scope":"https://outlook.office.com/"}'),
        "token_not_accepted",
    ),
    ("MailKit.Net.Smtp.SmtpCommandException: 5.7.1 Unable to relay", "relaying_denied"),
    (
        "550 5.7.64 TenantAttribution; Relay Access Denied [VE1EUR01FT020.eop-EUR01.prod.protection.outlook.com]",
        "tenant_attribution",
    ),
    (
        "Mailbox unavailable. The server response was: 5.7.68 TenantInboundAttribution; Direct Send not allowed for this organization from unauthorized sources",
        "direct_send_refused",
    ),
    (
        "System.Net.Mail.SmtpException: Failure sending mail. ---> System.Net.Sockets.SocketException: No connection could be made because the target machine actively refused it 10.0.0.5:587",
        "connection_refused",
    ),
    (
        "System.Net.Sockets.SocketException (10060): A connection attempt failed because the connected party did not properly respond after a period of time",
        "timeout",
    ),
    ("System.Net.Sockets.SocketException: No such host is known", "name_not_found"),
    ("java.net.UnknownHostException: smtp.offce365.com", "name_not_found"),
    (
        "com.sun.mail.util.MailConnectException: Couldn't connect to host, port: smtp.office365.com, 587; timeout -1; nested exception is: java.net.ConnectException: Connection timed out: connect",
        "timeout",
    ),
    (
        "javax.net.ssl.SSLHandshakeException: PKIX path building failed: sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid certification path to requested target",
        "tls_untrusted",
    ),
    (
        "javax.net.ssl.SSLHandshakeException: No appropriate protocol (protocol is disabled or cipher suites are inappropriate)",
        "tls_failed",
    ),
    ("javax.net.ssl.SSLException: Unrecognized SSL message, plaintext connection?", "tls_on_the_wrong_port"),
    ("Unsupported or unrecognized SSL message", "tls_on_the_wrong_port"),
    (
        "System.Security.Authentication.AuthenticationException: The remote certificate is invalid according to the validation procedure: RemoteCertificateNameMismatch",
        "tls_other_name",
    ),
    ("The remote certificate is invalid because of errors in the certificate chain: UntrustedRoot", "tls_untrusted"),
    ("The remote certificate is invalid because of errors in the certificate chain: NotTimeValid", "tls_expired"),
    (
        "OpenSSL::SSL::SSLError: SSL_connect returned=1 errno=0 state=error: wrong version number",
        "tls_on_the_wrong_port",
    ),
    (
        "OpenSSL::SSL::SSLError: SSL_connect returned=1 errno=0 peeraddr=10.0.0.1:587 state=error: certificate verify failed (hostname mismatch)",
        "tls_other_name",
    ),
    ("Net::OpenTimeout: Net::OpenTimeout", "timeout"),
    ("Net::ReadTimeout with #<TCPSocket:(closed)>", "timeout"),
    ("EOFError: end of file reached", "disconnected"),
    ("Errno::ECONNRESET: Connection reset by peer - SSL_connect", "disconnected"),
    ('Errno::EHOSTUNREACH: No route to host - connect(2) for "smtp.office365.com" port 587', "unreachable"),
    (
        "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate (_ssl.c:1006)",
        "tls_untrusted",
    ),
    ("socket.gaierror: [Errno -2] Name or service not known", "name_not_found"),
    ("[Errno 111] Connection refused", "connection_refused"),
    (
        "requests.exceptions.ProxyError: HTTPSConnectionPool(host='login.microsoftonline.com', port=443): Max retries exceeded (Caused by ProxyError('Unable to connect to proxy', OSError('Tunnel connection failed: 407 Proxy Authentication Required')))",
        "proxy_login_refused",
    ),
    ("curl: (6) Could not resolve host: smtp.office365.com", "name_not_found"),
    ("curl: (67) Access denied: 535", "login_refused"),
    ("sendmail: 550 5.1.8 Access denied, bad outbound sender AS(42004)", "bad_outbound_sender"),
    (
        "Remote Server returned '550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP. For more information please go to http://go.microsoft.com/fwlink/?LinkId=526653 AS(7230)'",
        "traffic_not_accepted",
    ),
    (
        "550 5.7.509 Access denied, sending domain clinic.test does not pass DMARC verification and has a DMARC policy of reject.",
        "dmarc_failure",
    ),
    (
        "421 4.7.66 tls 1.0 and 1.1 are not supported. please upgrade/update your client to support tls 1.2",
        "tls_too_old",
    ),
    (
        "smtp;432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.",
        "concurrent_connections",
    ),
    (
        "Remote Server returned '554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded'",
        "own_mailbox_full",
    ),
    ("550 5.7.30 Basic authentication is not supported for Client Submission.", "basic_removed"),
    ("STARTTLS is required to send mail", "starttls_wanted"),
    ("530 5.7.0 Must issue a STARTTLS command first. d9 - gsmtp", "starttls_wanted"),
    ("invalid_grant: Token has been expired or revoked.", "google_grant_expired"),
    ('{"error": "invalid_grant", "error_description": "Token has been expired or revoked."}', "google_grant_expired"),
    (
        '{"error":"unauthorized_client","error_description":"Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."}',
        "google_delegation_missing",
    ),
    (
        "google.auth.exceptions.RefreshError: ('invalid_grant: Invalid JWT Signature.', {'error': 'invalid_grant', 'error_description': 'Invalid JWT Signature.'})",
        "google_grant_refused",
    ),
    ("530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM", "not_authenticated"),
    ("535 5.7.8 Authentication failed: azurecomm.net", "acs_login_refused"),
]


@pytest.mark.parametrize(("text", "key"), PASTED)
def test_realistic_texts(text: str, key: str) -> None:
    for as_pasted in (text, f"  {text}\n", f"2026-03-02 09:30:11 ERROR mail: {text} (attempt 3)"):
        found = explanation_of_text(as_pasted, (), {})
        assert found is not None
        assert (found.diagnosis.key, found.known) == (key, True)


@pytest.mark.parametrize("name", [name for name, fault in known_faults().items() if fault.code])
def test_every_number_of_entra(name: str) -> None:
    number = known_faults()[name].code
    for text in (
        f"AADSTS{number}",
        f"aadsts{number}: something that nobody has read. Trace ID: 0f1e2d3c Correlation ID: 0f1e Timestamp: 2026-03-02",
        f"OAuth failed (AADSTS-{number})",
        f"OAuth failed: AADSTS {number}: something",
    ):
        found = explanation_of_text(text, (), {})
        assert found is not None
        assert (found.diagnosis.key, found.known) == (DIAGNOSES[name], True)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("AADSTS7000215", "client_secret_wrong"),
        ("7000222", "client_secret_expired"),
        ("error 65001", "consent_missing"),
        ("aadsts53003: blocked", "token_conditional_access"),
        ("invalid_client", "token_client_refused"),
        ("invalid_grant", "token"),
        ("5.7.139 Authentication unsuccessful, basic authentication is disabled", "basic_disabled"),
        ("5.7.708", "traffic_not_accepted"),
        ("550 5.7.60", "send_as_not_permitted"),
        ("Client does not have permissions to send as this sender", "send_as_not_permitted"),
        (
            "550-5.1.1 The account that you tried to reach\n550-5.1.1 does not exist.\n550 5.1.1 gsmtp",
            "no_such_mailbox",
        ),
        (
            "534-5.7.9 Application-specific password required. Learn more at\n534 5.7.9 https://support.google.com/",
            "gmail_app_password_required",
        ),
        ("554 Message rejected: Email address is not verified. The following", "ses_sender_not_verified"),
        ("421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade", "tls_too_old"),
        ("454 4.7.0 login.microsoftonline.com did not answer in time", "token_unavailable"),
        ("552 message size exceeds limit", "too_large"),
        ("550 5.7.1 Relaying denied: your address is not that of a client", "relaying_denied"),
        ("535 5.7.8 Username and Password not accepted", "gmail_password_refused"),
        ("Delivery time expired; the last answer was: 450 4.2.0 Greylisted", "greylisted"),
    ],
)
def test_pasted(text: str, key: str) -> None:
    found = explanation_of_text(text, (), {})
    assert found is not None
    assert (found.diagnosis.key, found.known) == (key, True)


@pytest.mark.parametrize("text", ["hello", "", "-", "0001A2", "the printer is on fire", "3.14", "2026-11-22 10:00:00"])
def test_what_nobody_can_explain(text: str) -> None:
    assert explanation_of_text(text, UPSTREAMS.values(), {}) is None


@pytest.mark.parametrize("text", ["554 Transaction failed", "451 Try later", "AADSTS99999: something new"])
def test_what_says_no_more_than_itself(text: str) -> None:
    found = explanation_of_text(text, (), {})
    assert found is not None
    assert not found.known


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("AADSTS7000215", "microsoft365"),
        ("535 5.7.8 Username and Password not accepted", "gmail"),
        ("554 Message rejected: Email address is not verified.", "ses"),
        ("451 4.4.2 mail.isp.test did not answer in time while connecting", "smtp"),
        ("Connection refused", None),
        ("550 5.1.1 user unknown, said outlook.com", "microsoft365"),
    ],
)
def test_whose_names_are_filled_in(text: str, name: str | None) -> None:
    found = explanation_of_text(text, UPSTREAMS.values(), {})
    assert found is not None
    upstreams = {str(provider): one for provider, one in UPSTREAMS.items()}
    assert upstream_meant(text, found.diagnosis, upstreams) == name
    assert upstream_meant(text, found.diagnosis, {}) is None


def test_the_only_upstream_is_meant() -> None:
    found = explanation_of_text("Connection refused", (), {})
    assert found is not None
    assert upstream_meant("Connection refused", found.diagnosis, {"isp": UPSTREAMS["smtp"]}) == "isp"
