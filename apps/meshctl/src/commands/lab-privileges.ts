/** A lab needs to make network namespaces: as root, or as root of a user namespace of its own. */
import { spawnSync } from 'node:child_process';
import { LabError, labsRoot } from '@ambit/lab';

const PREFIX = ['-Urnm', '--', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];

/**
 * Returns as root. Otherwise this whole command runs again inside `unshare -Urnm` and this process ends with its
 * exit code. Throws `LAB_NO_PRIVILEGES` where that is not allowed.
 */
export function becomeRoot(): void {
  const uid = process.getuid?.() ?? 0;
  if (uid === 0) {
    return;
  }
  const env = {
    ...process.env,
    PATH: `${process.env['PATH']}:/usr/sbin:/sbin`,
    // Inside, this user is called 0; the labs stay where they are for the other commands.
    AMBIT_LAB_ROOT: labsRoot(process.env, uid),
  };
  if (spawnSync('unshare', [...PREFIX, 'true'], { env }).status !== 0) {
    throw new LabError(
      'LAB_NO_PRIVILEGES',
      'a lab needs root or unprivileged user namespaces; run it with sudo, or allow them: ' +
        'sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0',
    );
  }
  // Ctrl-C reaches the whole process group; the inner command ends itself and this one waits for it.
  process.on('SIGINT', () => undefined);
  const again = [process.execPath, ...process.argv.slice(1)];
  const inside = spawnSync('unshare', [...PREFIX, ...again], { env, stdio: 'inherit' });
  process.exit(inside.status ?? 1);
}
