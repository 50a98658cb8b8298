/** The revocation lists of a proxy: from the file that its settings name to its workers. */
import { readFile, stat } from 'node:fs/promises';
import type { Clock } from '@ambit/core';
import { CRL_FILE_BYTES_MAX, CrlWatch, type RevocationState } from '@ambit/identity';
import type { Logger } from '@ambit/telemetry';
import type { ProxySettings } from './proxy-settings.ts';

/** Undefined: no file is named. Starts nothing; `tell` is called with the first state before `start` resolves. */
export function revocationsOfProxy(
  { crlPath }: Pick<ProxySettings, 'crlPath'>,
  {
    clock,
    log,
    tell,
  }: {
    readonly clock: Clock;
    readonly log: Logger;
    readonly tell: (state: RevocationState) => void;
  },
): CrlWatch | undefined {
  if (crlPath === '') {
    return undefined;
  }
  return new CrlWatch({
    clock,
    read: async () => await readBounded(crlPath),
    onChange: (state) => {
      log.info('revocation lists in use', { state: state.kind });
      tell(state);
    },
    onProblem: (reason, { isInUse }) => {
      const effect = isInUse ? 'those before stay in use' : 'no peer is taken';
      log.error('the revocation lists cannot be used', { file: crlPath, reason, effect });
    },
  });
}

async function readBounded(path: string): Promise<Uint8Array | undefined> {
  try {
    const { size } = await stat(path);
    if (size > CRL_FILE_BYTES_MAX) {
      throw new Error(`it has ${size} bytes, ${CRL_FILE_BYTES_MAX} are allowed`);
    }
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      return undefined;
    }
    throw error;
  }
}
