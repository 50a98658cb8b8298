/** An explanation as a tree of text. Data in, text out; nothing is decided here. */
import type { Branch, End, Explanation, Hop, ObjectReference, Step } from './types.ts';

const MARKS = { pass: '✓', miss: '✗', note: '·' } as const;

export function renderExplanation(explanation: Explanation): string {
  const { source, destination, hop } = explanation;
  const lines = [`${source} → ${destination}`, ...renderHop(hop, ''), '', verdictLine(explanation)];
  return `${lines.join('\n')}\n`;
}

function renderHop(hop: Hop, indent: string): readonly string[] {
  const body = `${indent}  `;
  return [
    `${indent}${hop.title}`,
    ...hop.steps.map((step) => `${body}${renderStep(step)}`),
    ...(hop.end === undefined ? [] : [`${body}${renderEnd(hop.end)}`]),
    ...renderBranches(hop.next, body),
  ];
}

function renderBranches(branches: readonly Branch[], indent: string): readonly string[] {
  return branches.flatMap(({ label, hop }) => {
    if (label === '') return renderHop(hop, indent);
    return [`${indent}${label}`, ...renderHop(hop, `${indent}  `)];
  });
}

function renderStep({ outcome, text, phase, objects }: Step): string {
  const during = phase === undefined ? '' : ` (phase ${phase})`;
  return `${MARKS[outcome]} ${text}${during}${renderReferences(objects)}`;
}

function renderReferences(objects: readonly ObjectReference[]): string {
  return objects.length === 0 ? '' : `  [${objects.map(renderReference).join('; ')}]`;
}

function renderReference({ key, path }: ObjectReference): string {
  return path === undefined ? key : `${key} ${path}`;
}

function renderEnd({ outcome, text, status, flag, phase, objects }: End): string {
  const details = [
    ...(status === undefined ? [] : [`status ${status}`]),
    ...(flag === undefined ? [] : [`flag ${flag}`]),
    ...(phase === undefined ? [] : [`phase ${phase}`]),
  ];
  const suffix = details.length === 0 ? '' : ` (${details.join(', ')})`;
  const mark = outcome === 'refused' ? '✗' : '→';
  return `${mark} ${outcome === 'refused' ? `refused: ${text}` : text}${suffix}${renderReferences(objects)}`;
}

function verdictLine({ verdict, text }: Explanation): string {
  switch (verdict) {
    case 'allowed':
      return `allowed: ${text}`;
    case 'refused':
      return `refused: ${text}`;
    case 'depends':
      return `depends on the endpoint or share that is chosen; some are refused: ${text}`;
  }
}
