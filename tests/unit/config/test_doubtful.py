"""What can be done, and is likely not meant."""

from pathlib import Path

from tests.unit.config.written import GOOD, loaded, told


def test_doubtful_settings_are_warned_of(tmp_path: Path) -> None:
    found = loaded(tmp_path, "")
    assert told(found) == []
    assert [warning.text.partition(",")[0] for warning in found.warnings] == [
        "there is no upstream",
        "there is no client",
    ]
    text = (
        GOOD
        + '[listener.a]\naddress = "*:1"\nsecurity = "none"\nminimum_tls = "1.0"\nproxy_from = ["::1"]\nauth = []\n'
    )
    text += '[upstream.clear]\ntype = "smtp"\nhost = "h.test"\nsecurity = "none"\nusername = "a"\n'
    text += 'password = { env = "X" }\n'
    assert [warning.key for warning in loaded(tmp_path, text).warnings] == [
        "client.app.username",
        "listener.a.minimum_tls",
        "listener.a.proxy_from",
        "upstream.clear.security",
    ]


def test_mail_that_is_kept_at_one_time_and_sent_at_another_is_warned_of(tmp_path: Path) -> None:
    text = '[client.training]\nnetworks = ["10.0.0.0/8"]\nupstream = ["sandbox", "isp"]\n'
    text += '[upstream.sandbox]\ntype = "capture"\n[upstream.isp]\ntype = "smtp"\nhost = "h.test"\n'
    [warning] = loaded(tmp_path, text).warnings
    assert (warning.key, warning.line) == ("client.training.upstream", 3)
    assert '"sandbox" keeps mail instead of sending it' in warning.text


def test_a_pace_of_who_waits_for_the_answer_is_warned_of(tmp_path: Path) -> None:
    text = '[client.app]\nnetworks = ["10.0.0.0/8"]\nupstream = "isp"\ndelivery = "direct"\nmessages_per_minute = 9\n'
    text += '[upstream.isp]\ntype = "smtp"\nhost = "h.test"\n'
    [warning] = loaded(tmp_path, text).warnings
    assert (warning.key, warning.line) == ("client.app.messages_per_minute", 5)


def test_a_policy_for_senders_whom_nobody_minds_is_warned_of(tmp_path: Path) -> None:
    text = '[client.app]\nnetworks = ["10.0.0.0/8"]\nupstream = "isp"\nsender_policy = "rewrite"\n'
    text += '[upstream.isp]\ntype = "smtp"\nhost = "h.test"\n'
    [warning] = loaded(tmp_path, text).warnings
    assert (warning.key, warning.line) == ("client.app.sender_policy", 4)
    assert loaded(tmp_path, text.replace("rewrite", "keep")).warnings == ()
    minds = text.replace("h.test", "smtp.office365.com") + 'username = "m@c.test"\npassword = { env = "P" }\n'
    assert loaded(tmp_path, minds).warnings == ()
    assert [
        warning.key
        for warning in loaded(
            tmp_path, minds.replace("office365", "gmail").replace("smtp.gmail", "smtp-relay.gmail")
        ).warnings
    ] == ["client.app.sender_policy"]


def test_copies_go_to_plain_addresses_only(tmp_path: Path) -> None:
    text = '[client.app]\nnetworks = ["10.0.0.0/8"]\nupstream = "isp"\nbcc = ["ä@c.test"]\n'
    text += '[upstream.isp]\ntype = "smtp"\nhost = "h.test"\n'
    [problem] = loaded(tmp_path, text).problems
    assert (problem.key, problem.line) == ("client.app.bcc", 4)
