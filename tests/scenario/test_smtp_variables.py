"""Nothing but the variables that CareRight has: no file, no command-line option."""

import smtplib
import subprocess
import sys
from pathlib import Path

from tests.rig.ports import free_port
from tests.rig.relay import RelayProcess
from tests.rig.scripted import ScriptedServer
from tests.rig.waiting import wait_until

MESSAGE = b"From: clinic@example.test\r\nTo: p@example.test\r\nSubject: Recall\r\n\r\nPlease ring us.\r\n"


def test_a_message_by_variables_alone(tmp_path: Path) -> None:
    with ScriptedServer(users={"app": "secret"}) as provider:
        port, metrics = free_port(), free_port()
        environ = RelayProcess(tmp_path / "unused", {}).environ | {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(provider.port),
            "SMTP_START_TLS": "false",
            "SMTP_AUTH": "cram_md5",
            "SMTP_USERNAME": "app",
            "SMTP_PASSWORD": "secret",
            "SMTP_DOMAIN": "clinic.example.test",
            "RELAY__STATE_DIR": str(tmp_path / "state"),
            "RELAY__METRICS__ADDRESS": f"127.0.0.1:{metrics}",
            "RELAY__LISTENER__SUBMISSION__ADDRESS": f"127.0.0.1:{port}",
            "RELAY__LISTENER__SUBMISSION__SECURITY": "none",
        }
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "relay", "serve"], cwd=tmp_path, env=environ, stderr=log)
        try:
            wait_until(lambda: b'"started"' in (tmp_path / "log").read_bytes(), "relay to start", 30)
            with smtplib.SMTP("127.0.0.1", port, timeout=30) as application:
                application.sendmail("clinic@example.test", ["p@example.test"], MESSAGE)
            (received,) = provider.wait_for(1)
            assert received.login == "app"
            assert b"Please ring us." in received.content
            assert "EHLO clinic.example.test" in provider.commands
        finally:
            process.terminate()
            assert process.wait(30) == 0
