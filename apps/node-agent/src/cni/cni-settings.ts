/** Where the plugin goes on the host, from the environment. Without a folder for it nothing is installed. */
import { isAbsolute } from 'node:path';
import type { Settings } from '@ambit/core';

export interface CniSettings {
  readonly binDir: string;
  /** As the host calls `binDir`: what the container runtime executes names its files so. */
  readonly hostBinDir: string;
  readonly confDir: string;
  /** Where the container runtime keeps its records of pods that run. */
  readonly cacheDir: string;
  /** Where `cni.cjs` and `cni-runtime.json` are. */
  readonly payloadDir: string;
}

/** Undefined when neither folder is named. One without the other is a problem. */
export function readCniSettings(settings: Settings, programDir: string): CniSettings | undefined {
  const folder = (name: string, fallback: string): string =>
    settings.parsed(name, {
      fallback,
      wanted: 'a path that begins with /',
      parse: (value) =>
        (isAbsolute(value) || value === '') && !value.includes('\0') ? value : undefined,
    });
  const confDir = folder('AMBIT_CNI_CONF_DIR', '');
  const binDir = folder('AMBIT_CNI_BIN_DIR', '');
  if (binDir === '' && confDir === '') {
    return undefined;
  }
  if (binDir === '' || confDir === '') {
    settings.problem(
      binDir === '' ? 'AMBIT_CNI_BIN_DIR' : 'AMBIT_CNI_CONF_DIR',
      'is missing, the other folder of the CNI plugin is set',
      '',
    );
  }
  return {
    binDir,
    confDir,
    hostBinDir: folder('AMBIT_CNI_HOST_BIN_DIR', binDir),
    cacheDir: folder('AMBIT_CNI_CACHE_DIR', '/var/lib/cni/results'),
    payloadDir: folder('AMBIT_CNI_PAYLOAD', programDir),
  };
}
