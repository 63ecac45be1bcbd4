// Guarantees 15, 30: servers and links that neither reply nor refuse, with the default deadlines.

import { testFault } from "./_seed.ts";
import { outlastSilence } from "./_silence.ts";

testFault(
  "publish() and subscribe() lose and repeat nothing when a server or its link is silent for seven seconds",
  () => outlastSilence(1),
);
