/**
 * Finds Prometheus and its promtool, which tests of metrics and alerts start, or installs them if that is possible.
 *
 * @module
 */
import { canInstall, findProgram, installPackage } from "./programs.ts";

const PROGRAMS = ["prometheus", "promtool"];

/**
 * Makes sure that `prometheus` and `promtool` are on the PATH. If they are not, and root runs this on Debian or Ubuntu,
 * installs them.
 *
 * @param say Receives a message before a slow step.
 * @throws {Error} If they are missing; the message says how to get them.
 */
export async function findOrInstallPrometheus(say: (text: string) => void, signal?: AbortSignal): Promise<void> {
  if (missing().length > 0 && canInstall()) {
    say("installing prometheus with apt-get … ");
    await installPackage("prometheus", ADVICE, signal);
  }
  const absent = missing();
  if (absent.length > 0) {
    throw new Error(`Cannot find ${absent.join(" and ")} for the tests: not on the PATH.\n${ADVICE}`);
  }
}

/** Those of the programs that are on the PATH: tests may be permitted to run them. */
export function prometheusPrograms(): string[] {
  return PROGRAMS.filter((name) => findProgram(name) !== undefined);
}

function missing(): string[] {
  return PROGRAMS.filter((name) => findProgram(name) === undefined);
}

const ADVICE = `  Debian, Ubuntu    sudo apt-get install prometheus     (as root the tests do this themselves)
  macOS             brew install prometheus
  elsewhere         put the programs of a release of Prometheus on the PATH`;
