/** A lab with the mesh in it, or without when that does not come up: the peers are measured all the same. */
import type { MeshExtraEnv } from '@ambit/lab';
import { BenchLab } from './bench-lab.ts';
import type { SuiteOptions } from './suite.ts';

export interface MeshStartOptions {
  readonly extraEnv: MeshExtraEnv;
  readonly plainYaml: string;
  readonly meshYaml: string;
  /** Fails when the mesh does not do what is to be measured; the lab then starts again without it. */
  readonly check: (lab: BenchLab) => Promise<void>;
}

export interface StartedLab {
  readonly lab: BenchLab;
  /** Why there is no mesh; empty when there is one. */
  readonly skipped: readonly { readonly subject: string; readonly reason: string }[];
}

export async function startBenchLab(
  { ambit, onProgress }: Pick<SuiteOptions, 'ambit' | 'onProgress'>,
  { extraEnv, plainYaml, meshYaml, check }: MeshStartOptions,
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
