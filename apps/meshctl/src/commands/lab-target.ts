/** What the `lab` commands share: where a lab is, and how its state looks as text. */
import { LabClient, type LabPaths, type LabStatus, labPaths, labsRoot } from '@ambit/lab';

export const LAB_NAME_DEFAULT = 'default';

export interface LabTarget {
  readonly name: string;
  readonly root: string;
  readonly paths: LabPaths;
}

export function labTarget(name: string): LabTarget {
  const root = labsRoot(process.env, process.getuid?.() ?? 0);
  return { name, root, paths: labPaths(root, name) };
}

/** Throws `LAB_NOT_RUNNING` with the command that starts it. */
export function labClient(name: string): LabClient {
  return new LabClient(labTarget(name).paths, name);
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Progress and remarks, which are no output of the command. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Columns as wide as their widest cell, two blanks between them. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function describeStatus(status: LabStatus): string {
  const blocks = [
    `lab ${status.name}: ${status.isSettled ? 'everything is ready' : 'not everything is ready'} (pid ${status.pid}, ${status.root})`,
  ];
  if (status.components.length > 0) {
    const rows = status.components.map(({ name, state, pid, restarts, lastEnd }) => [
      name,
      state,
      String(pid ?? '-'),
      String(restarts),
      lastEnd,
    ]);
    blocks.push(table(['COMPONENT', 'STATE', 'PID', 'RESTARTS', 'LAST END'], rows));
  }
  const pods = status.pods.map((pod) => [
    pod.namespace,
    pod.name,
    pod.node,
    pod.addresses[0] ?? '-',
    pod.isReady ? 'ready' : pod.phase,
    String(pod.restarts),
    pod.reason,
  ]);
  blocks.push(table(['NAMESPACE', 'POD', 'NODE', 'ADDRESS', 'STATE', 'RESTARTS', 'REASON'], pods));
  if (status.services.length > 0) {
    const rows = status.services.map(({ namespace, name, addresses }) => [
      namespace,
      name,
      addresses.join(' '),
    ]);
    blocks.push(table(['NAMESPACE', 'SERVICE', 'ADDRESSES'], rows));
  }
  if (status.problems.length > 0) {
    blocks.push(['PROBLEMS', ...status.problems].join('\n'));
  }
  return blocks.join('\n\n');
}
