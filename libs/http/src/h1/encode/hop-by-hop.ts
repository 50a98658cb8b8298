/** Taking out of a message what concerns one hop alone (RFC 9110 §7.6.1). */
import type { FieldLines } from '../message.ts';

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * The fields without those of the hop and without what `connection`, its options in lower case, names. `te: trailers` stays,
 * alone: whether trailers are taken is the same all the way. Gives the same list where nothing is taken out. To be called
 * before policies look and before anything is added, so that no client takes out what others rely on.
 */
export function withoutHopByHop(fields: FieldLines, connection: readonly string[]): FieldLines {
  let kept: string[] | undefined;
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] ?? '';
    const value = fields[index + 1] ?? '';
    if (HOP_BY_HOP.has(name) || connection.includes(name)) {
      kept ??= fields.slice(0, index);
      if (name === 'te' && listsTrailers(value)) {
        kept.push('te', 'trailers');
      }
    } else {
      kept?.push(name, value);
    }
  }
  return kept ?? fields;
}

function listsTrailers(te: string): boolean {
  return te
    .toLowerCase()
    .split(/[ \t]*,[ \t]*/)
    .includes('trailers');
}
