// All example plugins of this directory, for one plugin server.
import digest from "./digest/digest.js";
import gatekeeper from "./gatekeeper/gatekeeper.js";
import hello from "./hello/hello.js";
import stamp from "./stamp/stamp.js";

export default [hello, gatekeeper, stamp, digest];
