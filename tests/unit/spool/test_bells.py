import asyncio

from relay.spool.bells import Bell, Bells


class Clock:
    now = 1_000_000

    def __call__(self) -> int:
        return self.now


async def returned(bell: Bell, until_at: int | None = None) -> bool:
    """True where a wait ends by itself, within a few turns of the loop."""
    task = asyncio.create_task(bell.wait(until_at))
    for _ in range(5):
        await asyncio.sleep(0)
    done = task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return done


def quiet() -> tuple[Bell, Clock]:
    clock = Clock()
    bell = Bell(clock)
    bell.seen(None)
    return bell, clock


async def test_a_new_bell_has_rung() -> None:
    assert await returned(Bell(Clock()))


async def test_a_ring_is_heard_once() -> None:
    bell, _ = quiet()
    assert not await returned(bell)
    bell.ring()
    bell.ring()
    assert await returned(bell)
    assert not await returned(bell)


async def test_a_ring_wakes_all_who_wait() -> None:
    bell, _ = quiet()
    tasks = [asyncio.create_task(bell.wait(None)) for _ in range(3)]
    await asyncio.sleep(0)
    bell.ring()
    async with asyncio.timeout(1):
        await asyncio.gather(*tasks)


async def test_a_ring_that_reached_a_cancelled_waiter_is_kept() -> None:
    bell, _ = quiet()
    task = asyncio.create_task(bell.wait(None))
    await asyncio.sleep(0)
    bell.ring()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert await returned(bell)


async def test_a_cancelled_waiter_rings_for_nobody() -> None:
    bell, _ = quiet()
    assert not await returned(bell)
    assert not await returned(bell)


async def test_what_is_due_rings() -> None:
    bell, clock = quiet()
    bell.expect(clock.now + 500)
    bell.expect(clock.now + 100)
    bell.expect(clock.now + 900)
    assert not await returned(bell)
    clock.now += 99
    assert not await returned(bell)
    clock.now += 1
    assert await returned(bell)
    # Once: a lane that is held must not be told of it again and again.
    assert not await returned(bell)


async def test_a_sleeper_hears_of_an_earlier_instant() -> None:
    bell, clock = quiet()
    task = asyncio.create_task(bell.wait(clock.now + 60_000))
    await asyncio.sleep(0)
    bell.expect(clock.now + 10)
    async with asyncio.timeout(1):
        await task


async def test_a_claim_that_saw_all_takes_the_ring_away() -> None:
    bell, clock = quiet()
    bell.ring()
    bell.seen(clock.now + 1)
    assert not await returned(bell)
    bell.seen(clock.now)
    assert await returned(bell)


async def test_the_instant_given() -> None:
    bell, clock = quiet()
    assert await returned(bell, clock.now)
    assert await returned(bell, clock.now - 5)
    assert not await returned(bell, clock.now + 5000)


async def test_each_upstream_has_its_own() -> None:
    bells = Bells(Clock())
    for name in ("a", "b"):
        bells.of(name).seen(None)
    bells.of("a").ring()
    assert await returned(bells.of("a"))
    assert not await returned(bells.of("b"))


async def test_a_ring_right_behind_a_cancellation_is_kept() -> None:
    bell, _ = quiet()
    task = asyncio.create_task(bell.wait(None))
    await asyncio.sleep(0)
    task.cancel()
    bell.ring()
    await asyncio.gather(task, return_exceptions=True)
    assert await returned(bell)
