import type { StreamAdmin } from "../../store/mod.ts";

/** The operations on a stream and all its partitions. Each partition has controls of its own. */
export type WholeAdmin = Omit<StreamAdmin, "control">;
