"""What each step came to of Amazon SES by its API. Pure."""

from __future__ import annotations

from relay.config.upstream_settings import UpstreamSettings
from relay.doctor.details import proxy_detail
from relay.doctor.findings import Finding
from relay.doctor.steps import AT_PROXY, Result, Step, steps_of
from relay.upstream.contract import Cause, Phase
from relay.upstream.failures import ConversationEnded
from relay.upstream.ses_account import SesExamination


def findings_of_ses(seen: SesExamination, upstream: UpstreamSettings) -> tuple[Finding, ...]:
    """Return a finding for each step, in their order."""
    failed, steps = _failure(seen, upstream), steps_of(upstream)
    if failed is None:
        return tuple(Finding(step, Result.OK, _detail(step, seen, upstream)) for step in steps)
    at = steps.index(failed.step)
    well = tuple(Finding(step, Result.OK, _detail(step, seen, upstream)) for step in steps[:at])
    return (*well, failed, *(Finding(step, Result.NOT_REACHED) for step in steps[at + 1 :]))


def _failure(seen: SesExamination, upstream: UpstreamSettings) -> Finding | None:
    if seen.ended is not None:
        end = seen.ended
        return Finding(_step_of(end), Result.FAILED, "", end.reply, end.cause)
    refusal = seen.account.refusal(upstream.host) if seen.account is not None else None
    if refusal is not None:
        return Finding(Step.ACCOUNT, Result.FAILED, str(seen.account), refusal)
    unknown = [sender for sender, verified in seen.senders.items() if verified is False]
    if unknown:
        detail = f"not verified: {', '.join(unknown)}"
        return Finding(Step.SENDERS, Result.FAILED, detail, row="ses_sender_not_verified", names={"sender": unknown[0]})
    return None


def _step_of(end: ConversationEnded) -> Step:
    if end.cause is Cause.PROXY_SECRET_UNAVAILABLE:
        return Step.CONFIGURATION
    if end.phase in {Phase.SECRET, Phase.TOKEN}:
        return Step.CREDENTIALS
    if end.phase is Phase.AUTH:
        return Step.AUTH
    if end.cause is None:
        return Step.ACCOUNT
    if end.cause in {Cause.NAME_NOT_FOUND, Cause.PROXY_NOT_FOUND}:
        return Step.DNS
    if end.cause in AT_PROXY and end.cause is not Cause.PROXY_UNREACHABLE:
        return Step.PROXY
    return Step.TLS if end.cause in {Cause.TLS_UNTRUSTED, Cause.TLS_FAILED} else Step.PORT


def _detail(step: Step, seen: SesExamination, upstream: UpstreamSettings) -> str:
    if step is Step.CONFIGURATION:
        return f"type {upstream.type} by its API, {upstream.host}:{upstream.port}"
    if step is Step.CREDENTIALS:
        return seen.identity
    if step is Step.PORT:
        proxy = upstream.proxy
        return f"{upstream.host} port {upstream.port}" if proxy is None else f"{proxy.host} port {proxy.port}"
    if step is Step.PROXY:
        return proxy_detail(upstream)
    if step is Step.AUTH:
        return "AWS takes the signature"
    if step is Step.ACCOUNT:
        return str(seen.account) if seen.account is not None else "not told: ses:GetAccount is not allowed"
    if step is Step.SENDERS:
        told = ", ".join(sender for sender, verified in seen.senders.items() if verified)
        return f"verified: {told}" if told else "not told: ses:GetEmailIdentity is not allowed"
    return ""
