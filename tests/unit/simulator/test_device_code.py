from relay.simulator.device_code import LIFETIME, DeviceCode, DeviceCodes


def test_a_code_is_pending_until_it_is_approved_and_good_once() -> None:
    codes = DeviceCodes()
    code = codes.begin("client", "scope")
    assert codes.redeem(code.device_code, "client") == "authorization_pending"
    assert not codes.approve("WRONGCODE", "a@b.test")
    assert codes.approve(f" {code.user_code.lower()} ", "a@b.test")
    signed_in = codes.redeem(code.device_code, "client")
    assert isinstance(signed_in, DeviceCode)
    assert signed_in.user == "a@b.test"
    assert codes.redeem(code.device_code, "client") == "bad_verification_code"


def test_a_code_can_be_declined() -> None:
    codes = DeviceCodes()
    code = codes.begin("client", "scope")
    assert codes.decline(code.user_code)
    assert codes.redeem(code.device_code, "client") == "authorization_declined"


def test_a_code_is_for_one_application() -> None:
    codes = DeviceCodes()
    assert codes.redeem(codes.begin("client", "scope").device_code, "another") == "bad_verification_code"


def test_a_code_expires() -> None:
    now = [0.0]
    codes = DeviceCodes(lambda: now[0])
    code = codes.begin("client", "scope")
    now[0] = LIFETIME + 1
    assert not codes.approve(code.user_code, "a@b.test")
    assert codes.redeem(code.device_code, "client") == "expired_token"
