/** Taking out of a message what concerns one hop alone (RFC 9110 §7.6.1). */
import { HOP_BY_HOP_HEADERS } from '@ambit/api';
import type { FieldLines } from '../message.ts';
import { takesTrailers } from '../parse/hop.ts';

/** Most names are told apart by their length. */
const HOP_LENGTHS: readonly boolean[] = Array.from({ length: 32 }, (_, length) =>
  [...HOP_BY_HOP_HEADERS].some((name) => name.length === length),
);

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
    const isNamed = connection.length > 0 && connection.includes(name);
    if (isNamed || (HOP_LENGTHS[name.length] === true && HOP_BY_HOP_HEADERS.has(name))) {
      kept ??= fields.slice(0, index);
      if (name === 'te' && takesTrailers(value)) {
        kept.push('te', 'trailers');
      }
    } else {
      kept?.push(name, value);
    }
  }
  return kept ?? fields;
}
