/**
 * Rules of text that goes into messages: what a proxy could not write, or two servers could read in two ways, is refused with the object
 * and not with every request.
 */
import { parseAuthority } from '../value/authority.ts';
import { percentEncoded } from '../value/path-literal.ts';
import type { View } from './view.ts';

/** RFC 9110 §5.5. Anything else than ASCII is sent in UTF-8; blanks around a value are none of it, and are not sent. */
export function headerValueRules(value: View): void {
  const { text } = value;
  if (text === undefined) return;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  if (/[\0-\x08\n-\x1f\x7f]/.test(text)) {
    value.complain({
      code: 'INVALID_VALUE',
      message: 'has a line break or another control character, which a header cannot carry',
    });
  } else if (/^[ \t]|[ \t]$/.test(text)) {
    value.complain({
      code: 'INVALID_VALUE',
      severity: 'warning',
      message: 'begins or ends with a blank, which no header carries; it is sent without',
      fix: `write ${JSON.stringify(text.trim())}`,
    });
  }
}

/** A path that a rewrite puts in the place of another, or of how it begins. */
export function pathToSendRules(path: View): void {
  const { text } = path;
  if (text === undefined || text === '') return;
  if (!text.startsWith('/')) {
    path.complain({
      code: 'INVALID_PATH',
      message: 'does not begin with a slash, as the path of a request does',
      fix: `write ${percentEncoded(`/${text}`)}`,
    });
    return;
  }
  partOfPathRules(path);
}

/** A piece of such a path. */
export function partOfPathRules(path: View): void {
  const { text } = path;
  if (text === undefined) return;
  if (!/^[!"$-~]*$/.test(text)) {
    path.complain({
      code: 'INVALID_PATH',
      message: 'has a character that a path in a request cannot have',
      allowed: 'ASCII without blanks and #; others in percent-encoding',
      fix: `write ${percentEncoded(text)}`,
    });
  } else if (/\/\.{1,2}(?:[/?]|$)/.test(text)) {
    path.complain({
      code: 'INVALID_PATH',
      message: 'has a segment of dots, which servers resolve to another path than is written',
      fix: 'write the path that is meant',
    });
  }
}

/** A host that is put into requests or redirects: one that a request could have come with. */
export function authorityToSendRules(authority: View): void {
  const { text } = authority;
  if (text === undefined || text === '' || parseAuthority(text) !== undefined) return;
  authority.complain({
    code: 'INVALID_HOST',
    message: 'is no host that a request can have',
    allowed:
      'a name of ASCII or an address (IPv6 in brackets), with or without a port from 1 to 65535',
  });
}

/** A path that a redirect puts into Location: it may have a fragment, and what is no ASCII is sent in UTF-8. */
export function locationRules(path: View): void {
  const { text } = path;
  if (text === undefined || !/[\0- \x7f]/.test(text)) return;
  path.complain({
    code: 'INVALID_PATH',
    message: 'has a blank or a control character, which Location cannot carry',
    fix: `write ${percentEncoded(text)}`,
  });
}
