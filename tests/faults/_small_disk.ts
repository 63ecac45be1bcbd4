import { until } from "../../src/testing/_broker_bench.ts";

/** Whether the tests may mount a disk: only root on Linux may. Elsewhere tests of full disks are ignored. */
export const CAN_MAKE_DISKS: boolean = Deno.build.os === "linux" && Deno.uid() === 0;

/** A disk of two megabytes in memory that a test can fill. */
export class SmallDisk implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<SmallDisk> {
    const path = await Deno.makeTempDir({ prefix: "tidings-disk-" });
    await run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path);
    return new SmallDisk(path);
  }

  /** Fills the disk until no page fits. */
  async fill(): Promise<void> {
    using file = await Deno.open(`${this.path}/filler`, { write: true, create: true });
    const page = new Uint8Array(4_096);
    try {
      while (true) await file.write(page);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
    }
  }

  /** Makes room again. */
  async makeRoom(): Promise<void> {
    await Deno.remove(`${this.path}/filler`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A process that was just killed may still have files open there.
    await until(() => run("umount", this.path).then(() => true, () => false), "the disk is unmounted");
    await Deno.remove(this.path);
  }
}

async function run(command: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args }).output();
  if (!success) throw new Error(`Cannot run ${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
}
