// Guarantees 15, 30: servers and links that neither reply nor refuse. The long test uses the default deadlines.

import { testFault } from "./_seed.ts";
import { outlastSilence } from "./_silence.ts";

testFault(
  "publish() and subscribe() lose and repeat nothing when a server or its link is silent beyond their deadlines",
  () => outlastSilence(4),
);
