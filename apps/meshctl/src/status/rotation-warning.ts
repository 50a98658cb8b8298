/** That the root of the mesh is being changed: everybody works, and it is to be brought to its end. */
import type { AdminCa } from '@ambit/model';
import type { AdminClient } from '../admin-client.ts';
import { formatSpan } from '../output.ts';

/** Empty while no rotation goes on, and where a controller says nothing of its CA. */
export async function rotationWarnings(
  client: AdminClient,
  nowMs: number,
): Promise<readonly string[]> {
  const { status, body } = await client.ask('/v1/ca');
  const { step, sinceMs, waiting = [], proxies } = (body ?? {}) as Partial<AdminCa>;
  if (status !== 200 || step === undefined || step === 'none') return [];
  const since = sinceMs === undefined ? '' : ` since ${formatSpan(nowMs - sinceMs)}`;
  const behind = waiting.length === 0 ? '' : `, ${waiting.length} of ${proxies} proxies are behind`;
  return [
    `the root is being rotated: at step "${step}"${since}${behind} (meshctl ca status; go on with meshctl ca rotate)`,
  ];
}
