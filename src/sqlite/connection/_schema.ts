/** The connection, as far as checking and making the tables needs it. */
interface Connection {
  /** The path of the file, for error messages. */
  readonly path: string;
  /** Runs statements that take no values. */
  exec(sql: string): void;
  /** Returns the first row. */
  get<Row>(sql: string): Row | undefined;
}

/** Marks a file as ours ("TIDE"), so that we never write to the database of another program. */
export const APPLICATION_ID = 0x54494445;

/** The version of the tables below. */
export const SCHEMA_VERSION = 12;

const sizeOf = (row: string): string =>
  ["id", "payload", "fields"].map((column) => `ifnull(octet_length(${row}.${column}), 0)`).join(" + ");

/** The size of a row of `entry` in SQL, in bytes. `octet_length` reads the length of a text, and not the text. */
export const ROW_SIZE: string = sizeOf("entry");

const DEFERRED = `
  CREATE INDEX delivery_version ON delivery (grp, version, ms, seq) WHERE version IS NOT NULL;
  CREATE INDEX delivery_deferred ON delivery (grp, deferred_at) WHERE version IS NOT NULL;
`;

const STATE = `
  CREATE TABLE state (
    stream TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    text TEXT,
    PRIMARY KEY (stream, name)
  ) STRICT, WITHOUT ROWID;
`;

/*
 * Entries to be appended later, by due time and the order `n` of adding. A stream has a schedule for each layout, with a row that
 * counts its `waiting` entries, so that none must be counted. Of a schedule whose layout is over, `handed_out` entries are in the
 * batch with the number `batch`.
 */
const SCHEDULES = `
  CREATE TABLE scheduled (
    n INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    layout INTEGER NOT NULL,
    due INTEGER NOT NULL,
    id TEXT NOT NULL,
    fields TEXT NOT NULL,
    subject TEXT,
    base INTEGER NOT NULL,
    UNIQUE (stream, layout, id)
  ) STRICT;
  CREATE INDEX scheduled_due ON scheduled (stream, layout, due, n);
  CREATE TABLE schedule (
    stream INTEGER NOT NULL,
    layout INTEGER NOT NULL,
    waiting INTEGER NOT NULL DEFAULT 0,
    batch INTEGER NOT NULL DEFAULT 1,
    handed_out INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (stream, layout)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER scheduled_added AFTER INSERT ON scheduled
  BEGIN
    UPDATE schedule SET waiting = waiting + 1 WHERE stream = NEW.stream AND layout = NEW.layout;
  END;
  CREATE TRIGGER scheduled_removed AFTER DELETE ON scheduled
  BEGIN
    UPDATE schedule SET waiting = waiting - 1 WHERE stream = OLD.stream AND layout = OLD.layout;
  END;
`;

// When the next start is due, for each limiter and key.
const RATE = `
  CREATE TABLE rate (
    stream TEXT NOT NULL,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    tat REAL NOT NULL,
    PRIMARY KEY (stream, name, key)
  ) STRICT, WITHOUT ROWID;
`;

// The last revision of a subject stays when its entries are trimmed.
const SUBJECTS = `
  CREATE TABLE subject (
    id INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    UNIQUE (stream, name)
  ) STRICT;
  CREATE UNIQUE INDEX entry_revision ON entry (subject, revision) WHERE subject IS NOT NULL;
`;

/*
 * When a dead letter that holds its key is deleted, the trigger returns the deliveries that waited behind it and not behind
 * another letter of the key. They are due at time 0, so that they come before all others, by position.
 */
const HOLDS = `
  CREATE INDEX delivery_waits ON delivery (grp, waits_for, ms, seq) WHERE waits_for IS NOT NULL;
  CREATE INDEX letter_holds ON letter (grp, key, ms, seq) WHERE holds = 1;
  CREATE INDEX letter_holds_from ON letter (grp, ms, seq) WHERE holds = 1;
  CREATE TRIGGER letter_removed AFTER DELETE ON letter WHEN OLD.holds = 1
  BEGIN
    UPDATE delivery SET waits_for = NULL, due = 0
      WHERE grp = OLD.grp AND waits_for = OLD.key AND (ms, seq) <= (
        SELECT * FROM (SELECT ms, seq FROM letter WHERE grp = OLD.grp AND key = OLD.key AND holds = 1
          ORDER BY ms, seq LIMIT 1)
        UNION ALL SELECT 9223372036854775807, 0 LIMIT 1
      );
    UPDATE consumer_group SET freed = freed + 1 WHERE id = OLD.grp;
  END;
`;

/*
 * For each group, the trigger counts the entries that are deleted before the group has read them, and records the first
 * and the last of their positions. The next claim of a member reports them. Rows that are deleted by hand count too, and
 * their size is subtracted from that of the stream.
 *
 * Rows below `first_n` are ignored. A trim without `force` raises `first_n` before it deletes, so that each deleted row
 * costs one comparison.
 */
const REMOVED = `
  CREATE TRIGGER entry_removed AFTER DELETE ON entry
    WHEN OLD.n >= (SELECT first_n FROM stream WHERE id = OLD.stream)
  BEGIN
    UPDATE stream SET bytes = max(0, bytes - (${sizeOf("OLD")})) WHERE id = OLD.stream;
    UPDATE consumer_group SET
      removed = removed + 1,
      removed_from_ms = iif(removed = 0 OR (OLD.ms, OLD.seq) < (removed_from_ms, removed_from_seq),
        OLD.ms, removed_from_ms),
      removed_from_seq = iif(removed = 0 OR (OLD.ms, OLD.seq) < (removed_from_ms, removed_from_seq),
        OLD.seq, removed_from_seq),
      removed_to_ms = iif(removed = 0 OR (OLD.ms, OLD.seq) > (removed_to_ms, removed_to_seq),
        OLD.ms, removed_to_ms),
      removed_to_seq = iif(removed = 0 OR (OLD.ms, OLD.seq) > (removed_to_ms, removed_to_seq),
        OLD.seq, removed_to_seq)
    WHERE stream = OLD.stream AND next_n <= OLD.n AND (from_ms IS NULL OR (OLD.ms, OLD.seq) >= (from_ms, from_seq));
  END;
`;

/*
 * The entries of a stream are numbered without gaps by `n`. Appends of a lower layout than `layout` are refused; a batch
 * that was refused so has the length 0 in `batch`. The row of the stream keeps the numbers of the first and of
 * the next entry, so that lengths and lags need no counting, and the size of its entries in bytes. A group keeps the number
 * of the entry that it reads next;
 * `from_ms` and `from_seq` are set only while it waits for a position that is still to come.
 *
 * An entry with a revision has its `subject`, and the revision also among its fields. A batch of such entries keeps their
 * `revisions` as a JSON array, and a batch of scheduled entries their due times there; a batch that was refused keeps the revision that was in `conflict` with the expected one.
 *
 * `types` holds the event types that a group is for as a JSON array; NULL for the stream's own type. `exclusive` is the
 * name of its exclusive consumer in the store, until another consumer joins.
 *
 * `when_dead` is what a group does with later deliveries of a key whose event became a dead letter; NULL for `continue`.
 * `freed` counts how often letters have ceased to hold a key. `control` is the text by which operators control the group.
 *
 * A delivery is held (`owner` is set), parked (`due` is set), deferred (`version` and `deferred_at` are set), or waits
 * behind a dead letter of its key (`waits_for` is the key, as JSON). Each of these has its own partial index, so that the cost of a claim does not depend on how many deliveries wait.
 * `number` counts the deliveries of the group, and is the fence. `copy` holds the fields of a redriven dead letter whose entry is no longer in the stream. The row
 * is deleted when the delivery is acknowledged. `kept` holds what its consumers keep beside it, as a JSON object.
 */
const TABLES = `
  CREATE TABLE stream (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    first_n INTEGER NOT NULL DEFAULT 0,
    next_n INTEGER NOT NULL DEFAULT 0,
    last_ms INTEGER,
    last_seq INTEGER,
    layout INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
  ) STRICT;

  CREATE TABLE entry (
    stream INTEGER NOT NULL,
    n INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    id TEXT,
    payload TEXT,
    fields TEXT,
    subject INTEGER,
    revision INTEGER,
    PRIMARY KEY (stream, n)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX entry_position ON entry (stream, ms, seq);

  CREATE VIEW events AS
    SELECT stream.name AS stream, ms || '-' || seq AS position, entry.id, payload, fields
    FROM entry JOIN stream ON stream.id = entry.stream;

  CREATE TABLE producer (
    id INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    name TEXT NOT NULL,
    last INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    UNIQUE (stream, name)
  ) STRICT;

  CREATE TABLE batch (
    producer INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    length INTEGER NOT NULL,
    revisions TEXT,
    conflict INTEGER,
    PRIMARY KEY (producer, sequence)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE consumer_group (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    stream INTEGER NOT NULL,
    name TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0,
    next_n INTEGER NOT NULL,
    from_ms INTEGER,
    from_seq INTEGER,
    incarnations INTEGER NOT NULL DEFAULT 0,
    deliveries INTEGER NOT NULL DEFAULT 0,
    letters INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0,
    removed_from_ms INTEGER,
    removed_from_seq INTEGER,
    removed_to_ms INTEGER,
    removed_to_seq INTEGER,
    types TEXT,
    skipped INTEGER NOT NULL DEFAULT 0,
    expired INTEGER NOT NULL DEFAULT 0,
    when_dead TEXT,
    freed INTEGER NOT NULL DEFAULT 0,
    exclusive TEXT,
    control TEXT,
    control_version INTEGER NOT NULL DEFAULT 0,
    UNIQUE (stream, name)
  ) STRICT;

  CREATE TABLE consumer (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    grp INTEGER NOT NULL,
    name TEXT NOT NULL,
    store_name TEXT NOT NULL,
    expires INTEGER NOT NULL,
    stalled INTEGER NOT NULL DEFAULT 0,
    UNIQUE (grp, store_name)
  ) STRICT;

  CREATE TABLE delivery (
    grp INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    n INTEGER NOT NULL,
    copy TEXT,
    number INTEGER NOT NULL DEFAULT 0,
    owner INTEGER,
    due INTEGER,
    retry_at INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    recovered INTEGER NOT NULL DEFAULT 0,
    isolated INTEGER NOT NULL DEFAULT 0,
    first_failed_at INTEGER,
    last_failed_at INTEGER,
    version INTEGER,
    deferred_at INTEGER,
    waits_for TEXT,
    kept TEXT,
    PRIMARY KEY (grp, ms, seq)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX delivery_held ON delivery (owner) WHERE owner IS NOT NULL;
  CREATE INDEX delivery_due ON delivery (grp, due) WHERE due IS NOT NULL;
  ${DEFERRED}
  CREATE TABLE letter (
    grp INTEGER NOT NULL,
    id INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    fields TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_failed_at INTEGER NOT NULL,
    last_failed_at INTEGER NOT NULL,
    consumer TEXT NOT NULL,
    error TEXT NOT NULL,
    key TEXT,
    holds INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (grp, id)
  ) STRICT;

  ${STATE}
  ${SCHEDULES}
  ${RATE}
  ${HOLDS}
  ${SUBJECTS}
  ${REMOVED}
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

// Statements that upgrade a file from this version to the next one.
const UPGRADES: Readonly<Record<number, string>> = {
  1: `
    ALTER TABLE delivery ADD COLUMN version INTEGER;
    ALTER TABLE delivery ADD COLUMN deferred_at INTEGER;
    ${DEFERRED}
  `,
  2: `
    ALTER TABLE consumer_group ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE consumer_group ADD COLUMN removed_from_ms INTEGER;
    ALTER TABLE consumer_group ADD COLUMN removed_from_seq INTEGER;
    ALTER TABLE consumer_group ADD COLUMN removed_to_ms INTEGER;
    ALTER TABLE consumer_group ADD COLUMN removed_to_seq INTEGER;
  `,
  3: `
    ALTER TABLE consumer_group ADD COLUMN types TEXT;
    ALTER TABLE consumer_group ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
  `,
  4: `
    ALTER TABLE stream ADD COLUMN layout INTEGER NOT NULL DEFAULT 0;
    ${STATE}
  `,
  5: `
    ALTER TABLE consumer_group ADD COLUMN when_dead TEXT;
    ALTER TABLE consumer_group ADD COLUMN freed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE consumer_group ADD COLUMN exclusive TEXT;
    ALTER TABLE delivery ADD COLUMN waits_for TEXT;
    ALTER TABLE letter ADD COLUMN key TEXT;
    ALTER TABLE letter ADD COLUMN holds INTEGER NOT NULL DEFAULT 0;
    ${HOLDS}
  `,
  6: `
    ALTER TABLE entry ADD COLUMN subject INTEGER;
    ALTER TABLE entry ADD COLUMN revision INTEGER;
    ALTER TABLE batch ADD COLUMN revisions TEXT;
    ALTER TABLE batch ADD COLUMN conflict INTEGER;
    ${SUBJECTS}
  `,
  7: `
    ALTER TABLE stream ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE stream SET bytes = (SELECT ifnull(sum(${ROW_SIZE}), 0) FROM entry WHERE stream = stream.id);
    DROP TRIGGER IF EXISTS entry_removed;
    ${REMOVED}
  `,
  8: `
    ALTER TABLE consumer_group ADD COLUMN control TEXT;
    ALTER TABLE consumer_group ADD COLUMN control_version INTEGER NOT NULL DEFAULT 0;
  `,
  9: SCHEDULES,
  10: `
    ALTER TABLE consumer_group ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE delivery ADD COLUMN kept TEXT;
  `,
  11: RATE,
};

/**
 * Returns the version of the tables in the file, 0 if there are none yet. Throws if the file belongs to another program,
 * or to a newer release.
 */
export function checkSchema(db: Connection): number {
  const { id } = db.get<{ id: number }>("SELECT application_id AS id FROM pragma_application_id")!;
  const { version } = db.get<{ version: number }>("SELECT user_version AS version FROM pragma_user_version")!;
  const { tables } = db.get<{ tables: number }>("SELECT count(*) AS tables FROM sqlite_master")!;
  if (id === APPLICATION_ID) {
    if (version <= SCHEMA_VERSION) return version;
    throw new Error(
      `Cannot open ${db.path}: its schema has version ${version}, and this release supports up to ${SCHEMA_VERSION}; ` +
        "upgrade @tidings/broker, or choose another file",
    );
  }
  if (id === 0 && tables === 0) return 0;
  throw new Error(
    `Cannot open ${db.path}: it is the SQLite database of another program (application_id ${id}, ${tables} tables ` +
      "and indexes); choose another file",
  );
}

/**
 * Creates the tables, or upgrades those of an earlier release; does nothing if another connection has just done so. To be
 * called in a write transaction.
 */
export function makeSchema(db: Connection): void {
  const found = checkSchema(db);
  if (found === 0) db.exec(TABLES);
  else if (found < SCHEMA_VERSION) {
    for (let version = found; version < SCHEMA_VERSION; version++) db.exec(UPGRADES[version]!);
    db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  }
}
