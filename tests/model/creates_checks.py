"""What holds of every batch of creates, whatever happened to it, once nothing can land any more."""

from itertools import pairwise

from tests.model.bulk_checks import sent_too_late, wrong_end, wrong_numbers
from tests.model.creates_server import Placed
from tests.model.creates_session import BatchPlayer, CreatesSession


def check_batch(player: BatchPlayer) -> list[str]:
    """Compare everything with the server's truth."""
    found = [f"session {each.number}: {fault}" for each in player.sessions for fault in _check_session(player, each)]
    found += player.server.faults
    story, server, last = player.story, player.server, player.sessions[-1]
    for key, identity in player.identities.items():
        alive = server.alive(identity)
        if story.is_clean and len(alive) > 1:
            found.append(f"{key} was executed twice: {_told(alive)}")
        found += _not_done(player, key, alive)
        found += _sent_too_soon(player, key, identity)
        if player.noun.has_reference:
            found += _unreported(player, key, alive)
    if last.error is not None:
        found.append(f"the last session ended with {last.error!r}")
    if last.audit_error is not None and not story.habits.sick:  # each that cannot be got may be a duplicate
        found.append(f"the audit failed: {last.audit_error!r}")
    known = set(player.identities.values())
    for one, other in (pair for each in player.sessions for pair in each.duplicates):
        a, b = server.placed[one].identity, server.placed[other].identity
        if a != b or a not in known:
            found.append(f"{one} and {other} are no duplicates")
    return found


def _check_session(player: BatchPlayer, session: CreatesSession) -> list[str]:
    if session.is_killed:
        return session.faults
    story = player.story.as_bulk_story
    return [
        *session.faults,
        *wrong_numbers(story, session),
        *wrong_end(session),
        *sent_too_late(story, session),
    ]


def _not_done(player: BatchPlayer, key: str, alive: list[Placed]) -> list[str]:
    outcome = player.last.get(key)
    if outcome is None:
        return [f"{key} has no outcome"]
    if outcome.is_done or outcome.object_id is not None:
        return []
    # What shows its barcode is found without its metadata.
    began_s = player.sessions[-1].began_s
    is_findable = player.story.noun == "requisitions" and any(each.visible_s < began_s for each in alive)
    if outcome.state == "unknown" and player.may_park and not is_findable:
        return []
    return [f"{key} is not done: {outcome.state}, {outcome.error!r}; the server has {_told(alive)}"]


def _sent_too_soon(player: BatchPlayer, key: str, identity: str) -> list[str]:
    """Nothing is sent again while it may still be executed, and never what nobody can look for."""
    server, story = player.server, player.story
    sent = [arrival for arrival in server.arrivals if arrival.key == identity]
    found = []
    for one, other in pairwise(sent):
        if one.number in server.refused:
            continue
        if not player.noun.can_look:
            found.append(f"{key} was sent at {one.at_s:.1f} s ({one.play}) and again at {other.at_s:.1f} s")
        elif other.at_s < one.at_s + story.lands_within_s:
            found.append(f"{key} was sent at {one.at_s:.1f} s ({one.play}) and so soon again, at {other.at_s:.1f} s")
    return found


def _unreported(player: BatchPlayer, key: str, alive: list[Placed]) -> list[str]:
    """Return whether duplicates that the server shows were reported by none of the sessions."""
    shown = [placed.an_id for placed in alive if placed.shows_metadata]
    # Nobody is told what a killed session has found.
    pairs = {frozenset(pair) for each in player.sessions if not each.is_killed for pair in each.duplicates}
    linked = {an_id for pair in pairs for an_id in pair}
    missing = [an_id for an_id in shown if an_id not in linked]
    return [f"{key}: {missing} of {_told(alive)} are unreported"] if len(shown) > 1 and missing else []


def _told(placed: list[Placed]) -> list[str]:
    return [f"{each.an_id} at {each.created_s:.1f} s" for each in placed]
