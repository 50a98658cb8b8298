/** Methods: a token in capitals. They have no second spelling: `post` would pass a rule on POST, and be sent on as it is. */

const METHOD = /^[!#$%&'*+.^_`|~0-9A-Z-]{1,32}$/;

export function isMethod(text: string): boolean {
  switch (text) {
    case 'GET':
    case 'POST':
    case 'PUT':
    case 'HEAD':
    case 'DELETE':
    case 'OPTIONS':
    case 'PATCH':
      return true;
    default:
      return METHOD.test(text);
  }
}

/** Whether a waypoint answers it with anything else than a refusal: it opens no tunnels to where a request says. */
export function isServedMethod(text: string): boolean {
  return text !== 'CONNECT' && isMethod(text);
}
