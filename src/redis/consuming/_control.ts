import type { SharedText } from "../../store/mod.ts";
import type { Route } from "../connection/_topology.ts";
import { READ_CONTROL } from "../scripts/consuming/read_control.ts";

/** Reads the control of a group by its meta hash. */
export async function readControl(link: Route, meta: string): Promise<SharedText> {
  const [version, now, text] = await READ_CONTROL.run(link, [meta], []) as readonly [number, number, string?];
  return { text, version, now };
}
