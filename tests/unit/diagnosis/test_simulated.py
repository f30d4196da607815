"""Every failure that the simulator can play, by name, and the diagnosis that it has to get."""

from __future__ import annotations

import json
from collections import defaultdict

from relay.config.providers import Provider
from relay.diagnosis.names import names_of
from relay.reply import Reply, parse_reply
from relay.simulator.faults import Fault, known_faults
from relay.transfer.explanation import explanation_of
from relay.upstream.graph_answers import reply_of
from relay.upstream.http_protocol import HttpAnswer
from relay.upstream.ses_replies import ApiRefusal, reply_to
from tests.unit.transfer.test_explanation import UPSTREAMS

PROVIDERS: dict[str | None, Provider] = {
    "microsoft365": "microsoft365",
    "entra": "microsoft365",
    "imds": "microsoft365",
    "gmail": "gmail",
    "google": "gmail",
    "graph": "microsoft365",
    "ses": "ses",
    "ses_api": "ses",
    None: "smtp",
}
DIAGNOSES = {
    "closing_421": "transient",
    "greeting_554": "opening",
    "ehlo_502": "permanent",
    "starttls_454": "opening",
    "recipient_unknown": "no_such_mailbox",
    "recipient_deferred": "transient",
    "recipient_full": "recipient_mailbox_full",
    "initial_response_too_long": "lines_too_long",
    "auth_temporary": "login_deferred",
    "rejected": "permanent",
    "deferred": "transient",
    "lines_too_long": "lines_too_long",
    "smtp_auth_disabled_tenant": "smtp_auth_disabled_for_tenant",
    "smtp_auth_disabled_mailbox": "smtp_auth_disabled_for_mailbox",
    "security_defaults": "security_defaults",
    "basic_disabled": "basic_disabled",
    "conditional_access": "conditional_access",
    "credentials_incorrect": "credentials_incorrect",
    "sts_unreachable": "federation_unreachable",
    "sts_without_https": "federation_without_https",
    "token_refused": "token_not_accepted",
    "basic_removed": "basic_removed",
    "tls_too_old": "tls_too_old",
    "mailbox_logon_failure": "mailbox_not_reachable",
    "token_about_to_expire": "token_about_to_expire",
    "mechanism_refused": "mechanism_refused",
    "not_authenticated": "not_authenticated",
    "send_as_denied": "send_as_not_permitted",
    "send_as_denied_252": "send_as_not_permitted",
    "no_permission_to_send_as": "send_as_not_permitted",
    "bad_outbound_sender": "bad_outbound_sender",
    "daily_recipients": "daily_recipients",
    "submission_quota": "submission_quota",
    "submission_quota_522": "own_mailbox_full",
    "mailbox_full": "own_mailbox_full",
    "recipient_mailbox_full": "own_mailbox_full",
    "tenant_external_recipients": "tenant_recipients",
    "tenant_external_recipients_trial": "trial_tenant_recipients",
    "concurrent_connections": "concurrent_connections",
    "sender_threads": "concurrent_connections",
    "rejected_by_rule": "rejected_by_rule",
    "recipient_refused_by_directory": "recipient_refused_by_directory",
    "tenant_attribution": "tenant_attribution",
    "direct_send_refused": "direct_send_refused",
    "sender_banned": "sender_banned",
    "sender_banned_502": "sender_banned",
    "sender_banned_503": "sender_banned",
    "address_limit": "sender_banned",
    "dmarc_failure": "dmarc_failure",
    "from_without_brackets": "from_without_brackets",
    "several_from_addresses": "several_from_addresses",
    "bare_line_feeds": "bare_line_feeds",
    "tenant_threshold": "tenant_threshold",
    "low_reputation": "traffic_not_accepted",
    "unregistered_domain": "unregistered_domain",
    "access_denied_temporarily": "access_denied_for_now",
    "recipient_receives_too_much": "receiving_limit",
    "recipient_receives_far_too_much": "receiving_limit",
    "recipients_too_many": "too_many_recipients",
    "access_denied_temporarily_850": "access_denied_for_now",
    "xoauth2_data_invalid": "token_of_no_user",
    "too_large": "too_large",
    "session_duration": "session_duration",
    "gmail_app_password_required": "gmail_app_password_required",
    "gmail_password_refused": "gmail_password_refused",
    "gmail_authentication_required": "gmail_authentication_required",
    "gmail_temporary_authentication": "gmail_no_temporary_login",
    "gmail_too_many_logins": "gmail_too_many_logins",
    "gmail_temporary": "gmail_temporary",
    "gmail_try_again_later": "gmail_temporary",
    "gmail_mail_server_temporarily_rejected": "gmail_temporary",
    "gmail_server_busy": "gmail_temporary",
    "gmail_daily_limit": "gmail_daily_limit",
    "gmail_daily_limit_final": "gmail_daily_limit",
    "gmail_peak_relay_limit": "gmail_peak_limit",
    "gmail_daily_relay_limit_user": "gmail_daily_limit",
    "gmail_daily_relay_limit_customer": "gmail_daily_limit_of_customer",
    "gmail_too_large": "gmail_too_large",
    "ses_too_many_connections": "ses_too_many_connections",
    "ses_temporary_failure": "ses_temporary",
    "ses_timeout": "ses_temporary",
    "ses_rate": "ses_rate",
    "ses_daily_quota": "ses_daily_quota",
    "ses_temporary_authentication": "ses_temporary_login",
    "ses_authentication_required": "ses_authentication_required",
    "ses_credentials_invalid": "ses_credentials_invalid",
    "ses_not_subscribed": "ses_not_subscribed",
    "ses_too_long": "ses_too_long",
    "ses_access_denied": "ses_access_denied",
    "ses_sender_not_verified": "ses_sender_not_verified",
    "ses_recipient_not_verified": "ses_sender_not_verified",
    "hve_external": "hve_external",
    "ses_api_not_verified": "ses_sender_not_verified",
    "ses_api_recipient_not_verified": "ses_sender_not_verified",
    "ses_api_mail_from_not_verified": "ses_domain_not_verified",
    "ses_api_suspended": "ses_sending_paused",
    "ses_api_paused": "ses_sending_paused",
    "ses_api_rate": "ses_rate",
    "ses_api_daily_quota": "ses_daily_quota",
    "ses_api_limit": "ses_rate",
    "ses_api_bad_request": "permanent",
    "ses_api_access_denied": "ses_sender_denied",
    "ses_api_token_expired": "ses_token_expired",
    "ses_api_key_unknown": "ses_key_unknown",
    "ses_api_signature": "ses_signature",
    "ses_api_clock": "aws_clock_wrong",
    "ses_api_503": "ses_temporary",
    "aadsts7000215": "client_secret_wrong",
    "aadsts7000222": "client_secret_expired",
    "aadsts700027": "assertion_certificate",
    "aadsts700030": "assertion_certificate",
    "aadsts50012": "assertion_certificate",
    "aadsts700211": "federated_identity",
    "aadsts700212": "federated_identity",
    "aadsts700213": "federated_identity",
    "aadsts700024": "clock_wrong_for_token",
    "aadsts50013": "assertion_certificate",
    "aadsts700016": "application_not_found",
    "aadsts700011": "application_not_found",
    "aadsts90002": "tenant_not_found",
    "aadsts90038": "national_cloud",
    "aadsts900382": "national_cloud",
    "aadsts900432": "national_cloud",
    "aadsts50194": "single_tenant",
    "aadsts65001": "consent_missing",
    "aadsts90094": "consent_missing",
    "aadsts650056": "permission_missing",
    "aadsts650057": "permission_missing",
    "aadsts70011": "scope_wrong",
    "aadsts28002": "scope_wrong",
    "aadsts700022": "scope_wrong",
    "aadsts53003": "token_conditional_access",
    "aadsts530032": "token_conditional_access",
    "aadsts50131": "token_conditional_access",
    "aadsts53000": "token_conditional_access",
    "aadsts53001": "token_conditional_access",
    "aadsts53002": "token_conditional_access",
    "aadsts530035": "token_security_defaults",
    "aadsts50076": "token_mfa",
    "aadsts50079": "token_mfa",
    "aadsts50074": "token_mfa",
    "aadsts50158": "token_mfa",
    "aadsts50126": "account_unusable",
    "aadsts50055": "account_unusable",
    "aadsts50057": "account_unusable",
    "aadsts50034": "account_unusable",
    "aadsts50053": "account_unusable",
    "aadsts70000": "sign_in_over",
    "aadsts70008": "sign_in_over",
    "aadsts700082": "sign_in_over",
    "aadsts50173": "sign_in_over",
    "aadsts50089": "sign_in_over",
    "aadsts70043": "sign_in_over",
    "aadsts700084": "sign_in_of_a_web_page",
    "aadsts7000218": "secret_not_sent",
    "aadsts7000112": "application_disabled",
    "aadsts70001": "application_disabled",
    "aadsts50196": "token_loop",
    "aadsts90033": "token_throttled",
    "aadsts50033": "token_throttled",
    "aadsts90006": "token_throttled",
    "aadsts90012": "token_throttled",
    "aadsts90024": "token_throttled",
    "aadsts90055": "token_throttled",
    "authority_tenant_not_found": "tenant_not_found",
    "managed_identity_not_found": "managed_identity_missing",
    "google_internal_failure": "gmail_no_temporary_login",
    "google_unauthorized_client": "google_delegation_missing",
    "google_revoked": "google_grant_expired",
    "graph_access_denied": "graph_access_denied",
    "graph_send_as_denied": "graph_send_as_denied",
    "graph_invalid_user": "graph_no_mailbox",
    "graph_mailbox_not_enabled": "graph_no_mailbox",
    "graph_token_refused": "graph_token_refused",
    "graph_throttled": "graph_throttled",
    "graph_unavailable": "graph_throttled",
    "graph_upload_throttled": "graph_throttled",
    "graph_gateway_timeout": "transient",
    "graph_internal_error": "transient",
    "graph_session_too_small": "transient",
    "graph_mime_invalid": "graph_mime",
    "graph_too_large": "too_large",
    "graph_message_too_large": "too_large",
    "graph_submission_blocked": "bad_outbound_sender",
    "graph_mailbox_full": "own_mailbox_full",
    "graph_daily_limit": "submission_quota",
}


def _reply(fault: Fault) -> Reply | None:
    """What the relay would have before it; None for a failure without words."""
    if fault.provider == "ses_api" and fault.error:
        described = fault.description.format_map(defaultdict(lambda: "X"))
        return reply_to(ApiRefusal(fault.error, described, fault.status), "email.test")[1]
    if fault.provider == "graph":
        body = json.dumps({"error": {"code": fault.error, "message": fault.description}}).encode()
        headers = {name.lower(): value for name, value in fault.headers.items()}
        return reply_of(HttpAnswer(fault.status, headers, body), "graph.microsoft.com")[1] if fault.status else None
    if fault.error:
        described = fault.description.format_map(defaultdict(lambda: "X"))
        number = f"AADSTS{fault.code}: " if fault.code else ""
        return parse_reply(454, f"4.7.0 {number}{described} ({fault.error})", "login.microsoftonline.com")
    if not fault.reply:
        return None
    first, *others = fault.reply.format_map(defaultdict(lambda: "x")).split("\n")
    return parse_reply(int(first[:3]), "\n".join((first[4:], *(line[4:] for line in others))), "mx.provider.test")


def test_every_failure_of_the_simulator() -> None:
    found = {}
    for name, fault in known_faults().items():
        said = _reply(fault)
        if said is not None:
            upstream = UPSTREAMS[PROVIDERS[fault.provider]]
            found[name] = explanation_of(said, upstream, names_of("up", upstream)).diagnosis.key
    assert found == DIAGNOSES
