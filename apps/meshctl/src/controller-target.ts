/** Which controller a command asks: the one named, else that of the only lab that runs. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { labPaths, labsRoot, readLiveRecord } from '@ambit/lab';
import type { Command } from 'commander';
import { AdminClient } from './admin-client.ts';
import { EXIT, UserError } from './errors.ts';

const ADMIN_SOCKET = 'admin.sock';

/** Throws a UserError with exit code 69 when it is not clear which. */
export function controllerOf(command: Command): AdminClient {
  const options: unknown = command.optsWithGlobals();
  const named = controllerOption(options) ?? process.env['AMBIT_CONTROLLER'];
  return new AdminClient(named === undefined || named === '' ? socketOfOnlyLab() : named);
}

function controllerOption(options: unknown): string | undefined {
  if (typeof options !== 'object' || options === null || !('controller' in options)) {
    return undefined;
  }
  return typeof options.controller === 'string' ? options.controller : undefined;
}

function socketOfOnlyLab(): string {
  const root = labsRoot(process.env, process.getuid?.() ?? 0);
  const running = namesIn(root).flatMap((name) => {
    const paths = labPaths(root, name);
    return readLiveRecord(paths) === undefined ? [] : [{ name, paths }];
  });
  const [only] = running;
  if (only !== undefined && running.length === 1) {
    return join(only.paths.controller, ADMIN_SOCKET);
  }
  if (only === undefined) {
    throw new UserError('no controller to ask', {
      why: `no lab runs in "${root}", and neither --controller nor AMBIT_CONTROLLER names one`,
      fix: 'start a lab (meshctl lab up -f DIR), or name an admin socket with --controller',
      exitCode: EXIT.unavailable,
    });
  }
  const sockets = running.map(({ paths }) => join(paths.controller, ADMIN_SOCKET));
  throw new UserError('it is not clear which controller to ask', {
    why: `${running.length} labs run: ${running.map(({ name }) => name).join(', ')}`,
    fix: `choose one: --controller ${sockets[0] ?? ''}`,
    exitCode: EXIT.unavailable,
  });
}

/** Folders whose names could be labs. */
function namesIn(root: string): readonly string[] {
  try {
    return readdirSync(root)
      .filter((name) => /^[a-z0-9](?:[-a-z0-9]{0,30}[a-z0-9])?$/.test(name))
      .sort();
  } catch {
    // There has never been a lab of this user.
    return [];
  }
}
