/** A lab with the mesh in it, or without when that does not come up: the peers are measured all the same. */
import { join } from 'node:path';
import type { MeshExtraEnv } from '@ambit/lab';
import { bundleApp } from '../../tools/bundle.ts';
import { BenchLab } from './bench-lab.ts';
import type { SuiteOptions } from './suite.ts';

export interface MeshStartOptions {
  readonly extraEnv: MeshExtraEnv;
  readonly plainYaml: string;
  readonly meshYaml: string;
  /** Programs as they are written, for who reads their names. */
  readonly fromSource?: boolean;
  /** Fails when the mesh does not do what is to be measured; the lab then starts again without it. */
  readonly check: (lab: BenchLab) => Promise<void>;
}

export interface StartedLab {
  readonly lab: BenchLab;
  /** Why there is no mesh; empty when there is one. */
  readonly skipped: readonly { readonly subject: string; readonly reason: string }[];
}

const PROGRAMS = ['controller', 'node-agent', 'waypoint'] as const;

/** The programs as their images hold them, unless AMBIT_LAB_PROGRAMS names others: from source, memory is not what it will be. */
async function useBundles(cache: string, onProgress: (line: string) => void): Promise<void> {
  if ((process.env['AMBIT_LAB_PROGRAMS'] ?? '') !== '') {
    return;
  }
  const folder = join(cache, 'programs');
  onProgress('bundling');
  for (const app of PROGRAMS) {
    await bundleApp(app, join(folder, app, 'dist'));
  }
  process.env['AMBIT_LAB_PROGRAMS'] = folder;
}

export async function startBenchLab(
  { ambit, cache, onProgress }: Pick<SuiteOptions, 'ambit' | 'cache' | 'onProgress'>,
  { extraEnv, plainYaml, meshYaml, fromSource = false, check }: MeshStartOptions,
): Promise<StartedLab> {
  const peersOnly = async (reason: string): Promise<StartedLab> => ({
    lab: await BenchLab.start({ mesh: false, extraEnv: {}, yaml: plainYaml }),
    skipped: [{ subject: 'ambit', reason }],
  });
  if (!ambit) {
    return await peersOnly('not asked for');
  }
  let lab: BenchLab | undefined;
  try {
    if (!fromSource) {
      await useBundles(cache, onProgress);
    }
    lab = await BenchLab.start({ mesh: true, extraEnv, yaml: `${plainYaml}---\n${meshYaml}` });
    await check(lab);
    return { lab, skipped: [] };
  } catch (error) {
    await lab?.[Symbol.asyncDispose]();
    const reason = error instanceof Error ? error.message : String(error);
    onProgress(`without Ambit: ${reason}`);
    return await peersOnly(reason);
  }
}
