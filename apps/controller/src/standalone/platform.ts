/** The controller without Kubernetes: folders of YAML, and a state folder that outlives the process. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { CertificateAuthority } from '@ambit/identity';

import { describeFixed, fixedCa } from '../admin/ca-routes.ts';
import { openAuthority, publishRoot, tokenVerifier, warnOfStrangeCrls } from '../authority.ts';
import type { ControllerConfig } from '../config.ts';
import type { Parts, Surroundings } from '../parts.ts';
import type { KeptName, Platform } from '../platform.ts';
import { type Kept, StateFile } from '../status/state-file.ts';
import { ManagedFolder } from './managed-folder.ts';
import { DirectorySource } from './source/directory-source.ts';
import { type KeptObject, LastGood } from './source/last-good.ts';

export async function openStandalone(
  config: ControllerConfig,
  { clock, log }: Surroundings,
): Promise<Platform> {
  const managed = join(config.stateDir, 'managed');
  await mkdir(managed, { recursive: true });
  const stateFile = <T>(name: string): StateFile<T> =>
    new StateFile<T>({
      path: join(config.stateDir, `${name}.json`),
      clock,
      log: log.scoped('state'),
    });
  const authority = await openAuthority(config, clock);
  warnOfStrangeCrls(authority, log.scoped('ca'));
  return {
    source: new DirectorySource({
      folders: config.configDirs,
      lastGood: new LastGood(stateFile<readonly KeptObject[]>('accepted')),
      clock,
      log: log.scoped('source'),
    }),
    verifier: tokenVerifier(config, clock),
    waypoints: new ManagedFolder({ folder: managed, clock, log: log.scoped('provision') }),
    authority,
    issuer: authority,
    open: () => Promise.resolve(),
    kept: <T>(name: KeptName): Kept<T> => stateFile<T>(name),
    run: ({ authority }: Parts, signal) => {
      watchAuthority(authority, { config, log, signal });
      return Promise.resolve();
    },
    caRotation: ({ proxies }) =>
      fixedCa(() =>
        describeFixed({
          authority,
          source: `folder ${caFolder(config)}`,
          why: 'its key is in a folder: replace the files, with both roots in root-cert.pem in between',
          proxies: proxies.trust().length,
        }),
      ),
    stop: () => Promise.resolve(),
  };
}

function caFolder({ cacertsDir, stateDir }: ControllerConfig): string {
  return cacertsDir === '' ? join(stateDir, 'ca') : cacertsDir;
}

/** A folder of `cacerts` may be replaced, and whoever trusts the mesh reads the root from the state folder. */
function watchAuthority(
  authority: CertificateAuthority,
  options: {
    readonly config: ControllerConfig;
    readonly log: Surroundings['log'];
    readonly signal: AbortSignal;
  },
): void {
  const { config, log, signal } = options;
  authority.onChange(() => {
    publishRoot(authority, config.stateDir).catch((error: unknown) => {
      log.error('the new root cannot be written', { error });
    });
  });
  void authority.watch({
    signal,
    onError: (error) => log.error('the CA folder cannot be used', { error }),
  });
}
