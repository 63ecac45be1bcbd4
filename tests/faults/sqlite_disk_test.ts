// Guarantee 30: a full disk, under an SQLite file.

import { connect } from "@tidings/broker";
import { testFault } from "./_seed.ts";
import { CAN_MAKE_DISKS, SmallDisk } from "./_small_disk.ts";
import { Witness } from "./_witness.ts";

testFault(
  "SQLite: publish() and subscribe() lose and repeat nothing, and say the way out, when the disk is full",
  async () => {
    await using disk = await SmallDisk.make();
    const url = `sqlite:${disk.path}/events.db`;
    await using witness = await Witness.open((options) => connect(url, options));
    await witness.begin();
    await disk.fill();
    try {
      await witness.endure({ says: /: the disk is full; make room/ });
    } finally {
      await disk.makeRoom();
    }
    await witness.recover();
  },
  !CAN_MAKE_DISKS,
);
