/** Where `ip`, `nft`, `setpriv` and their like are; an ordinary user's PATH lacks sbin. */
import { dirname } from 'node:path';

export const TOOL_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** PATH of a pod's process: the Node that runs the lab comes first, so that `node` means the pinned one. */
export const POD_PATH = `${dirname(process.execPath)}:${TOOL_PATH}`;
