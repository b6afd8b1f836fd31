"""The plugin as a user's project has it: tests of theirs, run by pytest in a folder of its own."""

import textwrap
from importlib import import_module

import pytest

# Their runs are in this process, and forget what they import: a module that is here before is not imported twice.
for module in ("_codec.codec", "client", "testing.expectations", "testing.clock"):
    import_module(f"spotdx_async.{module}")

# Without the plugins that nothing here needs: each run would import them anew.
SETTINGS = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
addopts = --strict-markers -p no:schemathesis -p no:hypothesispytest -p no:anyio -p no:pytest_cov -p no:cacheprovider
filterwarnings = error
"""


class Project:
    """A user's folder with one file of tests."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        pytester.makeini(SETTINGS)

    def run(self, tests: str, *options: str, conftest: str = "") -> pytest.RunResult:
        self._pytester.makeconftest(textwrap.dedent(conftest))
        self._pytester.makepyfile(
            test_theirs=f"import asyncio\nimport pytest\nfrom spotdx_async import RetryPolicy\n{textwrap.dedent(tests)}"
        )
        return self._pytester.runpytest_inprocess(*options)


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    return Project(pytester)


GET = 'await spot_client.kits.get("SPOT123456")'

# --- Faults by marker -------------------------------------------------------------------------------------------------


def test_a_marked_fault_plays_as_often_as_it_says(project: Project) -> None:
    done = project.run(f"""
        @pytest.mark.spot_fault("503", times=2)
        async def test_it(fake_spot, spot_client):
            {GET}
            assert [request.status for request in fake_spot.requests] == [503, 503, 200]
        """)

    done.assert_outcomes(passed=1)


def test_markers_stack_in_the_order_they_are_read_the_modules_first(project: Project) -> None:
    done = project.run("""
        pytestmark = [pytest.mark.spot_fault("500"), pytest.mark.spot_fault("501")]

        @pytest.mark.spot_fault("502")
        class TestIt:
            @pytest.mark.spot_fault("503")
            @pytest.mark.parametrize(
                "_", [pytest.param(1, marks=[pytest.mark.spot_fault("505"), pytest.mark.spot_fault("506")])]
            )
            @pytest.mark.spot_fault("504")
            async def test_it(self, fake_spot, _):
                async with fake_spot.client(retry=RetryPolicy(max_attempts=1)) as spot:
                    for _ in range(7):
                        with pytest.raises(Exception):
                            await spot.kits.get("SPOT123456")
                assert [request.status for request in fake_spot.requests] == [500, 501, 502, 503, 504, 505, 506]
        """)

    done.assert_outcomes(passed=1)


def test_a_fault_can_be_for_one_operation(project: Project) -> None:
    done = project.run(f"""
        @pytest.mark.spot_fault("503", operation="kits.get")
        async def test_it(fake_spot, spot_client):
            await spot_client.kits.types()
            {GET}
            assert [request.status for request in fake_spot.requests] == [200, 503, 200]
        """)

    done.assert_outcomes(passed=1)


def test_a_fault_can_be_for_one_kit_and_of_the_users_making(project: Project) -> None:
    done = project.run("""
        from spotdx_async.testing import faults

        @pytest.mark.spot_fault(faults.status(429, retry_after=0), kit_id="SPOT123456", times=None)
        async def test_it(fake_spot):
            async with fake_spot.client(deadline_s=0.1) as spot:
                with pytest.raises(Exception):
                    await spot.kits.get("SPOT123456")
            assert {request.status for request in fake_spot.requests} == {429}
        """)

    done.assert_outcomes(passed=1)


def test_faults_wait_for_the_test_itself_and_end_with_it(project: Project) -> None:
    done = project.run("""
        import pytest_asyncio

        @pytest_asyncio.fixture
        async def prepared(fake_spot, spot_client):
            await spot_client.kits.update_metadata("SPOT123456", {"cohort": "A"})
            yield
            await spot_client.kits.update_metadata("SPOT123456", {"cohort": "B"})
            assert {request.status for request in fake_spot.requests} == {200}

        @pytest.mark.spot_fault("503", times=None, unmet_ok=True)
        async def test_it(prepared, fake_spot):
            assert len(fake_spot.requests) == 1
        """)

    done.assert_outcomes(passed=1)


def test_a_fault_that_is_not_met_fails_the_test(project: Project) -> None:
    done = project.run(f"""
        @pytest.mark.spot_fault("unknown_enum", times=2, operation="kits.get")
        @pytest.mark.spot_fault("503", operation="orders.create")
        async def test_it(fake_spot, spot_client):
            {GET}
        """)

    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            "not every fault of spot_fault was met (unmet_ok=True allows that):",
            "*  'unknown_enum': planned 2, played 1",
            "*  '503': planned 1, played never",
        ],
        consecutive=True,
    )


def test_a_fault_may_be_unmet_where_the_test_says_so(project: Project) -> None:
    done = project.run("""
        @pytest.mark.spot_fault("503", unmet_ok=True)
        async def test_it(fake_spot):
            pass
        """)

    done.assert_outcomes(passed=1)


def test_a_test_that_fails_by_itself_is_not_told_of_unmet_faults_too(project: Project) -> None:
    done = project.run("""
        @pytest.mark.spot_fault("503")
        async def test_it(fake_spot):
            assert 1 + 1 == 3
        """)

    done.assert_outcomes(failed=1)
    assert "was met" not in done.stdout.str()


def test_the_fake_may_be_the_users_own_and_live_longer(project: Project) -> None:
    done = project.run(
        """
        pytestmark = pytest.mark.asyncio(loop_scope="module")

        @pytest.mark.spot_fault("503", times=3, unmet_ok=True)
        async def test_first(fake_spot):
            async with fake_spot.client(retry=RetryPolicy(max_attempts=1)) as spot:
                with pytest.raises(Exception):
                    await spot.kits.get("SPOT000002")

        async def test_later(fake_spot, spot_expect):
            spot_expect("kits.get")
            async with fake_spot.client(retry=RetryPolicy(max_attempts=1)) as spot:
                await spot.kits.get("SPOT000002")
        """,
        conftest="""
        import pytest_asyncio
        from spotdx_async.testing import FakeSpot

        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def fake_spot():
            async with FakeSpot(kits=["SPOT000002"]) as fake:
                yield fake
        """,
    )

    done.assert_outcomes(passed=2)


def test_a_wrong_marker_fails_the_collection_and_says_what_there_is(project: Project) -> None:
    done = project.run("""
        @pytest.mark.spot_fault("5o3")
        async def test_it(fake_spot):
            pass
        """)

    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["test_theirs.py::test_it: @pytest.mark.spot_fault: unknown fault '5o3': use a status *"])


def test_a_marker_on_a_test_without_the_fake_fails_the_collection(project: Project) -> None:
    done = project.run("""
        @pytest.mark.spot_fault("503")
        async def test_it():
            pass
        """)

    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*it needs the fixture fake_spot among the test's arguments, or spot_client*"])


def test_a_modules_marker_passes_its_tests_without_the_fake_by(project: Project) -> None:
    done = project.run("""
        pytestmark = [pytest.mark.spot_fault("503"), pytest.mark.spot_virtual_time]

        def test_it():
            pass
        """)

    done.assert_outcomes(passed=1)


def test_the_markers_are_listed(project: Project) -> None:
    done = project.run("", "--markers")

    done.stdout.fnmatch_lines(
        ["@pytest.mark.spot_fault(fault, [*], times=1, operation=None, *", "*spot_virtual_time: *"]
    )


# --- Expected requests ------------------------------------------------------------------------------------------------


def test_the_expected_requests_pass_in_any_order(project: Project) -> None:
    done = project.run(f"""
        async def test_it(spot_expect, spot_client):
            spot_expect("GET /api/v2/kit_types")
            spot_expect("kits.get")
            spot_expect("kits.get")
            {GET}
            await spot_client.kits.types()
            {GET}
        """)

    done.assert_outcomes(passed=1)


def test_other_requests_fail_the_test_by_method_and_template_alone(project: Project) -> None:
    done = project.run(f"""
        async def test_it(spot_expect, spot_client):
            spot_expect("orders.create")
            spot_expect("kits.types", times=None)
            spot_expect("kits.update_metadata", times=2)
            {GET}
            await spot_client.kits.update_metadata("SPOT123456", {{"cohort": "Verborgen"}})
            with pytest.raises(Exception):
                await spot_client.request("GET", "/Verborgen/")
        """)

    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            "*fake_spot got other requests than the test expected:",
            "*  POST /api/v2/orders/ (orders.create): expected 1, came none",
            "*  POST /api/v2/kits/{kit_id}/ (kits.update_metadata): expected 2, came 1",
            "*  GET /api/v2/kits/{kit_id}/ (kits.get): expected none, came 1",
            "*  GET of a path that no operation has: expected none, came 1",
        ],
        consecutive=True,
    )
    assert "Verborgen" not in done.stdout.str()
    assert "SPOT123456" not in done.stdout.str()


def test_a_request_that_is_repeated_counts_as_often_as_it_came(project: Project) -> None:
    done = project.run(f"""
        @pytest.mark.spot_fault("503", times=2)
        async def test_it(spot_expect, spot_client):
            spot_expect("kits.get", times=3)
            {GET}
        """)

    done.assert_outcomes(passed=1)


def test_what_fixtures_send_is_not_the_tests(project: Project) -> None:
    done = project.run(f"""
        import pytest_asyncio

        @pytest_asyncio.fixture
        async def prepared(spot_client):
            {GET}
            yield
            {GET}

        async def test_it(prepared, spot_expect):
            pass
        """)

    done.assert_outcomes(passed=1)


def test_a_fake_that_keeps_no_requests_cannot_be_watched(project: Project) -> None:
    done = project.run(
        f"""
        async def test_it(spot_client, spot_expect):
            {GET}
        """,
        conftest="""
        import pytest_asyncio
        from spotdx_async.testing import FakeSpot

        @pytest_asyncio.fixture
        async def fake_spot():
            async with FakeSpot(keep_requests=False) as fake:
                yield fake
        """,
    )

    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*spot_expect needs a fake that keeps its requests: keep_requests=True"])


# --- Synchronous tests, and loops other than the test's ---------------------------------------------------------------


def test_a_sync_test_has_the_fake_its_faults_and_its_expected_requests(project: Project) -> None:
    done = project.run("""
        @pytest.mark.spot_fault("503", operation="kits.get")
        def test_it(fake_spot, spot_expect):
            spot_expect("kits.get", times=3)

            async def ask():
                async with fake_spot.client() as spot:
                    return await spot.kits.get("SPOT123456")

            assert [asyncio.run(ask()).kit_id for _ in range(2)] == ["SPOT123456", "SPOT123456"]
            assert [request.status for request in fake_spot.requests] == [503, 200, 200]
        """)

    done.assert_outcomes(passed=1)


def test_a_sync_tests_fault_that_is_not_met_fails_it(project: Project) -> None:
    done = project.run("""
        @pytest.mark.spot_fault("503")
        def test_it(fake_spot):
            pass
        """)

    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*'503': planned 1, played never"])


def test_a_test_on_a_modules_loop_has_the_fake(project: Project) -> None:
    done = project.run("""
        pytestmark = pytest.mark.asyncio(loop_scope="module")

        async def test_it(fake_spot):
            async with fake_spot.client() as spot:
                await spot.kits.get("SPOT123456")
        """)

    done.assert_outcomes(passed=1)


def test_a_fake_of_the_users_own_for_a_module_serves_the_loops_of_all_its_tests(project: Project) -> None:
    done = project.run(
        """
        async def test_first(fake_spot, spot_client):
            await spot_client.kits.get("SPOT000002")

        @pytest.mark.spot_fault("503")
        async def test_second(fake_spot, spot_client, spot_expect):
            spot_expect("kits.get", times=2)
            await spot_client.kits.get("SPOT000002")

        def test_third(fake_spot):
            assert [request.status for request in fake_spot.requests] == [200, 503, 200]
        """,
        conftest="""
        import pytest
        from spotdx_async.testing import FakeSpot

        @pytest.fixture(scope="module")
        def fake_spot():
            with FakeSpot(kits=["SPOT000002"]) as fake:
                yield fake
        """,
    )

    done.assert_outcomes(passed=3)


# --- Virtual time -----------------------------------------------------------------------------------------------------


def test_five_minutes_of_waiting_takes_a_marked_test_no_time(project: Project) -> None:
    done = project.run(f"""
        from spotdx_async.testing import faults

        @pytest.mark.spot_virtual_time
        @pytest.mark.spot_fault(faults.status(503, retry_after=300))
        async def test_it(spot_client):
            began = asyncio.get_running_loop().time()
            {GET}
            assert round(asyncio.get_running_loop().time() - began) == 300
        """)

    done.assert_outcomes(passed=1)


def test_the_clock_makes_a_test_virtual_and_moves_its_time(project: Project) -> None:
    done = project.run("""
        async def test_it(spot_clock, fake_spot, spot_client):
            began = spot_clock.wall()
            (patient_id, *_) = fake_spot.patients
            token = (await spot_client.registration_tokens.create(patient_id)).token
            await spot_clock.advance(599)
            fake_spot.redeem(token, "SPOT123456")
            late = (await spot_client.registration_tokens.create(patient_id)).token
            await spot_clock.advance(601)
            with pytest.raises(ValueError):
                fake_spot.redeem(late, "SPOT123456")
            assert 1200 <= spot_clock.elapsed_s < 1201
            assert (spot_clock.wall() - began).total_seconds() == pytest.approx(spot_clock.elapsed_s)
            with pytest.raises(ValueError, match="time does not go back"):
                await spot_clock.advance(-1)
        """)

    done.assert_outcomes(passed=1)


def test_the_pace_of_requests_takes_no_time_either(project: Project) -> None:
    done = project.run("""
        from spotdx_async import RateLimit

        async def test_it(spot_clock, fake_spot):
            async with fake_spot.client(rate_limit=RateLimit(1, burst=1)) as spot:
                for _ in range(61):
                    await spot.kits.get("SPOT123456")
            assert round(spot_clock.elapsed_s) == 60
        """)

    done.assert_outcomes(passed=1)


LOOPS = """
from spotdx_async.testing import VirtualTimeLoop

def is_virtual():
    return isinstance(asyncio.get_running_loop(), VirtualTimeLoop)
"""


def test_the_tests_beside_a_virtual_one_keep_their_loops_and_names(project: Project) -> None:
    done = project.run(
        f"""
        {textwrap.indent(LOOPS, " " * 8).strip()}

        async def test_before():
            assert not is_virtual()

        @pytest.mark.spot_virtual_time
        async def test_virtual():
            assert is_virtual()

        async def test_after():
            assert not is_virtual()
        """,
        "-v",
    )

    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines(["test_theirs.py::test_virtual PASSED *"])


def test_the_users_own_loops_stay_in_use(project: Project) -> None:
    done = project.run(
        f"""
        {textwrap.indent(LOOPS, " " * 8).strip()}

        async def test_theirs():
            assert type(asyncio.get_running_loop()).__name__ == "Theirs"

        async def test_virtual(spot_clock):
            assert is_virtual()
        """,
        conftest="""
        import asyncio

        class Theirs(asyncio.SelectorEventLoop):
            pass

        def pytest_asyncio_loop_factories():
            return {"theirs": Theirs}
        """,
    )

    done.assert_outcomes(passed=2)


def test_what_lives_on_a_session_wide_loop_is_made_anew_for_virtual_time(project: Project) -> None:
    done = project.run(f"""
        import pytest_asyncio
        {textwrap.indent(LOOPS, " " * 8).strip()}

        class Thing:
            is_open = True

        @pytest_asyncio.fixture(scope="session", loop_scope="session")
        async def thing():
            thing = Thing()
            yield thing
            thing.is_open = False

        async def test_before(thing, fake_spot):
            assert thing.is_open

        async def test_virtual(thing, fake_spot, spot_clock):
            assert thing.is_open

        async def test_after(thing, fake_spot):
            assert thing.is_open
        """)

    done.assert_outcomes(passed=3)


def test_a_virtual_test_on_a_modules_loop_shares_it(project: Project) -> None:
    done = project.run(f"""
        {textwrap.indent(LOOPS, " " * 8).strip()}

        pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.spot_virtual_time]
        loops = set()

        @pytest.mark.parametrize("number", [1, 2])
        async def test_it(number):
            assert is_virtual()
            loops.add(asyncio.get_running_loop())
            assert len(loops) == 1
        """)

    done.assert_outcomes(passed=2)


NEEDS_LOOPS = "*virtual time (spot_virtual_time, spot_clock) needs a test that pytest-asyncio 1.4 or later runs: *"


def test_an_async_test_that_pytest_asyncio_does_not_run_is_told_what_virtual_time_needs(project: Project) -> None:
    done = project.run(
        """
        @pytest.mark.spot_virtual_time
        async def test_it():
            pass
        """,
        "--asyncio-mode=strict",
    )

    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines([NEEDS_LOOPS])


def test_the_clock_says_so_where_time_is_real(project: Project) -> None:
    done = project.run("""
        def test_it(spot_clock):
            pass
        """)

    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines([NEEDS_LOOPS])


def test_virtual_time_works_in_strict_mode(project: Project) -> None:
    done = project.run(
        f"""
        {textwrap.indent(LOOPS, " " * 8).strip()}

        @pytest.mark.asyncio
        async def test_it(spot_clock, spot_client):
            {GET}
            assert is_virtual()
        """,
        "--asyncio-mode=strict",
    )

    done.assert_outcomes(passed=1)
