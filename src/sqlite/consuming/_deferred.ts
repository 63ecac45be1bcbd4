import type { DeferredState } from "../../store/mod.ts";
import type { Reach } from "../../store/_reach.ts";
import type { Database } from "../connection/_database.ts";
import type { Place } from "../entries/_records.ts";

/**
 * Returns the deferred deliveries that a member with this reach may take: those whose version it understands, in order of
 * position. If there are none, those that have waited longer than its `deferTimeout`.
 */
export function deferredFor(db: Database, now: number, groupId: number, reach: Reach, limit: number): Place[] {
  const waiting = versions(db, groupId);
  const known = waiting.filter((version) => version <= reach.version).flatMap((version) =>
    db.all<Place>(
      "SELECT ms, seq FROM delivery WHERE grp = ? AND version = ? ORDER BY ms, seq LIMIT ?",
      groupId,
      version,
      limit,
    )
  );
  if (known.length > 0) return known.sort((a, b) => a.ms - b.ms || a.seq - b.seq).slice(0, limit);
  if (waiting.length === 0 || reach.deferTimeout === Infinity) return [];
  return db.all<Place>(
    "SELECT ms, seq FROM delivery WHERE grp = ? AND version IS NOT NULL AND deferred_at <= ? ORDER BY deferred_at LIMIT ?",
    groupId,
    now - reach.deferTimeout,
    limit,
  );
}

/** Returns when a member with this reach may take a deferred delivery: -Infinity if now, Infinity if never. */
export function nextDeferred(db: Database, groupId: number, { version, deferTimeout }: Reach): number {
  const [lowest] = versions(db, groupId, 1);
  if (lowest === undefined) return Infinity;
  if (lowest <= version) return -Infinity;
  const { since } = db.get<{ since: number }>(
    "SELECT min(deferred_at) AS since FROM delivery WHERE grp = ? AND version IS NOT NULL",
    groupId,
  )!;
  return since + deferTimeout;
}

/** Returns how many deliveries are deferred, by version. */
export function deferredState(db: Database, groupId: number): DeferredState[] {
  return versions(db, groupId).map((version) => ({
    version,
    ...db.get<{ pending: number }>(
      "SELECT count(*) AS pending FROM delivery WHERE grp = ? AND version = ?",
      groupId,
      version,
    )!,
  }));
}

// One index lookup for each version: there are few versions, however many deliveries are deferred.
function versions(db: Database, groupId: number, most = Infinity): number[] {
  const found: number[] = [];
  for (let last = -1; found.length < most;) {
    const { version } = db.get<{ version: number | null }>(
      "SELECT min(version) AS version FROM delivery WHERE grp = ? AND version > ?",
      groupId,
      last,
    )!;
    if (version === null) break;
    found.push(last = version);
  }
  return found;
}
