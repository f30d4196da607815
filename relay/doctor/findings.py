"""What each step came to, from all that an examination saw. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from relay.config.upstream_settings import UpstreamSettings
from relay.diagnosis.names import Names
from relay.doctor.details import detail_of, token_detail
from relay.doctor.steps import REHEARSED, Result, Step, connecting_steps, step_of, steps_of
from relay.doctor.token_fault import fault_of, refusal_of
from relay.reply import Reply
from relay.upstream.contract import Cause, Conversation, Phase
from relay.upstream.examination import Examination
from relay.upstream.failures import ConversationEnded
from relay.upstream.rehearsal import Rehearsal


@dataclass(frozen=True, slots=True)
class Finding:
    """One step. `detail` is for people; of a failed one `said` is the reply, and `cause` where it is one of ours.

    `row` is the diagnosis where more is known than the reply tells, else empty; `names` are filled in besides the
    upstream's own.
    """

    step: Step
    result: Result
    detail: str = ""
    said: Reply | None = None
    cause: Cause | None = None
    row: str = ""
    names: Names = field(default_factory=dict)


def findings_of(seen: Examination, upstream: UpstreamSettings) -> tuple[Finding, ...]:
    """Return a finding for each step of the upstream, in their order."""
    failed = {finding.step: finding for finding in _failures(seen, upstream)}
    well = _well(seen, upstream) - failed.keys()
    found = []
    for step in steps_of(upstream):
        if step in failed:
            found.append(failed[step])
        elif step in well:
            found.append(Finding(step, Result.OK, detail_of(step, seen, upstream)))
        else:
            found.append(Finding(step, Result.NOT_REACHED))
    return tuple(found)


def findings_of_probe(conversation: Conversation, upstream: UpstreamSettings) -> tuple[Finding, ...]:
    """Return them for an upstream that holds no conversation: it keeps the mail in a folder."""
    configuration = Finding(Step.CONFIGURATION, Result.OK, f"type {upstream.type}")
    if conversation.phase is Phase.DONE:
        return configuration, Finding(Step.FOLDER, Result.OK, "can be written to")
    return configuration, Finding(Step.FOLDER, Result.FAILED, said=conversation.reply)


def _failures(seen: Examination, upstream: UpstreamSettings) -> list[Finding]:
    found = []
    if seen.refused is not None:
        found.append(_failure(seen.refused, seen, upstream))
    else:
        row = fault_of(seen.token, upstream)
        if row:
            detail = detail_of(Step.TOKEN, seen, upstream)
            found.append(Finding(Step.TOKEN, Result.FAILED, detail, row=row, names=_token_names(seen)))
    if seen.ended is not None:
        found.append(_failure(seen.ended, seen, upstream))
    for at, step in enumerate(REHEARSED):
        refused = _refused(seen.rehearsals, at)
        if refused:
            found.append(_unwelcome(step, at, refused))
    return found


def _failure(end: ConversationEnded, seen: Examination, upstream: UpstreamSettings) -> Finding:
    step = step_of(end, seen, upstream)
    row, detail = "", ""
    if step in {Step.AUTH, Step.PERMISSION} and end.cause is None:
        row = refusal_of(end.reply, seen.token, upstream)
        detail = f"the server's own reasons: {' '.join(end.challenge.split())}" if end.challenge else ""
    elif step is Step.TOKEN and seen.token is not None and seen.logged_in:
        detail = f"the token in hand still counts: {token_detail(seen.token)}"
    return Finding(step, Result.FAILED, detail, end.reply, end.cause, row, _token_names(seen))


def _unwelcome(step: Step, at: int, refused: Sequence[Rehearsal]) -> Finding:
    """Several may be refused: the first one's reply is told, and the names of all."""
    first = refused[0]
    senders = [str(each.trial.sender or "<>") for each in refused]
    names = {"sender": senders[0]}
    to = f" to {first.trial.recipient}" if step is Step.RCPT else ""
    cause = first.cause if at == len(first.replies) - 1 else None
    return Finding(step, Result.FAILED, f"from {', '.join(senders)}{to}", first.replies[at], cause, "", names)


def _refused(rehearsals: Sequence[Rehearsal], at: int) -> list[Rehearsal]:
    return [each for each in rehearsals if len(each.replies) > at and not each.replies[at].positive]


def _well(seen: Examination, upstream: UpstreamSettings) -> set[Step]:
    """Return the steps that went well, as far as nothing else says that they failed."""
    well = {Step.CONFIGURATION}
    connecting = connecting_steps(upstream)
    ends_at = step_of(seen.ended, seen, upstream) if seen.ended is not None else None
    if ends_at is not None and ends_at in connecting:
        well.update(connecting[: connecting.index(ends_at)])
    elif seen.ended is None:
        well.update(connecting if seen.logged_in else (step for step in connecting if step is not Step.AUTH))
    if seen.refused is None or seen.token is not None:
        well.add(Step.TOKEN)
    for at, step in enumerate(REHEARSED):
        if any(len(each.replies) > at for each in seen.rehearsals):
            well.add(step)
    return well


def _token_names(seen: Examination) -> Names:
    token = seen.token
    if token is None:
        return {}
    return {"audience": token.audience, "object_id": token.object_id, "user": token.user}
