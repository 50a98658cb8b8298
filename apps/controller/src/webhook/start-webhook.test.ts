import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connect } from 'node:tls';

import { ask, openTestWebhook } from './https.testing.ts';
import { BODY_BYTES_MAX } from './read-body.ts';
import { BAD_VIRTUAL_SERVICE, reviewOf, VIRTUAL_SERVICE } from './review.testing.ts';
import type { AdmissionValidator, ValidationOutcome } from './validator.ts';

interface Answer {
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly warnings?: readonly string[];
    readonly status?: { readonly message: string };
  };
}

type Webhook = Awaited<ReturnType<typeof openTestWebhook>>;
const responseOf = (text: string) => (JSON.parse(text) as Answer).response;
const review = (object: unknown) => JSON.stringify(reviewOf(object, { uid: 'u1' }));

describe('startWebhook', () => {
  let webhook: Webhook;
  before(async () => {
    webhook = await openTestWebhook();
  });
  after(async () => {
    await webhook.close();
  });

  it('allows what is valid', async () => {
    const { status, text } = await ask(webhook, review(VIRTUAL_SERVICE));
    assert.equal(status, 200);
    assert.deepEqual(responseOf(text), { uid: 'u1', allowed: true });
  });

  it('refuses what is wrong, and says so in the log', async () => {
    const { status, text } = await ask(webhook, review(BAD_VIRTUAL_SERVICE));
    assert.equal(status, 200);
    const { allowed, status: refusal } = responseOf(text);
    assert.equal(allowed, false);
    assert.match(refusal?.message ?? '', /^spec\.http\[0\]\.timeout is not a duration/);
    const line = webhook.lines.findLast((each) => each.includes('"admission"')) ?? '';
    assert.match(line, /"reason":"invalid_resource"/);
    assert.match(line, /"user":"kubernetes-admin"/);
  });

  it('counts under the names of istiod', async () => {
    const text = await webhook.registry.metrics();
    const labels = 'group="networking.istio.io",version="v1",resource="virtualservices"';
    assert.ok(text.includes(`galley_validation_passed{${labels}}`), text);
    assert.ok(text.includes(`galley_validation_failed{${labels},reason="invalid_resource"}`), text);
  });

  it('does not let a caller make up labels', async () => {
    await ask(webhook, JSON.stringify(reviewOf(VIRTUAL_SERVICE, { group: 'made-up.io' })));
    assert.ok(!(await webhook.registry.metrics()).includes('made-up'));
  });

  const REFUSED: readonly (readonly [
    title: string,
    body: string,
    options: Parameters<typeof ask>[2],
    status: number,
  ])[] = [
    ['another path', '{}', { path: '/' }, 404],
    ['another method', '', { method: 'GET' }, 405],
    ['another content type', '{}', { headers: { 'content-type': 'text/yaml' } }, 415],
    ['no JSON', '{', {}, 400],
    ['no review', '{}', {}, 400],
    [
      'a body that says it is too large',
      '{}',
      { headers: { 'content-length': BODY_BYTES_MAX + 1 } },
      413,
    ],
  ];
  for (const [title, body, options, status] of REFUSED) {
    it(`answers ${status} to ${title}`, async () => {
      assert.equal((await ask(webhook, body, options)).status, status);
    });
  }

  it('stops reading a body that does not end', async () => {
    const chunked = { headers: { 'transfer-encoding': 'chunked' } };
    const endless = new Uint8Array(BODY_BYTES_MAX + 1024).fill(0x20);
    // The answer may be lost with the connection, which still carries the body; nothing else may happen.
    const status = await ask(webhook, endless, chunked).then(
      (answer) => answer.status,
      () => 413,
    );
    assert.equal(status, 413);
    assert.equal((await ask(webhook, review(VIRTUAL_SERVICE))).status, 200);
  });

  it('survives clients that speak no HTTP, or go away', async () => {
    const options = { host: '127.0.0.1', port: webhook.port, ca: webhook.rootBundlePem };
    for (const bytes of ['\0\0\0\0', 'POST /validate HTTP/1.1\r\ncontent-length: 100\r\n\r\nabc']) {
      await new Promise<void>((resolve) => {
        const socket = connect(options, () => {
          socket.end(bytes);
        });
        socket.on('error', () => undefined);
        socket.on('close', () => {
          resolve();
        });
        socket.resume();
      });
    }
    assert.equal((await ask(webhook, review(VIRTUAL_SERVICE))).status, 200);
  });

  it('serves a new certificate as soon as there is one', async () => {
    const first = await ask(webhook, review(VIRTUAL_SERVICE));
    webhook.tls.use(webhook.issue());
    const second = await ask(webhook, review(VIRTUAL_SERVICE));
    assert.notEqual(first.serialNumber, second.serialNumber);
  });

  it('keeps the old certificate if the new one is unusable', async () => {
    const first = await ask(webhook, review(VIRTUAL_SERVICE));
    webhook.tls.use({ ...webhook.issue(), privateKeyPem: 'x' });
    const second = await ask(webhook, review(VIRTUAL_SERVICE));
    assert.equal(first.serialNumber, second.serialNumber);
    assert.ok(webhook.lines.some((line) => line.includes('unusable')));
  });
});

describe('startWebhook without a verdict', () => {
  const always = (outcome: ValidationOutcome): AdmissionValidator => ({
    validate: () => Promise.resolve(outcome),
    close: () => Promise.resolve(),
  });
  const ROWS: readonly (readonly [ValidationOutcome, boolean, RegExp])[] = [
    [{ kind: 'busy' }, true, /not validated yet/],
    [{ kind: 'exhausted' }, false, /more time or memory/],
  ];
  for (const [outcome, isAllowed, says] of ROWS) {
    it(`${isAllowed ? 'allows' : 'refuses'} what is ${outcome.kind}`, async () => {
      const webhook = await openTestWebhook(always(outcome));
      try {
        const { text } = await ask(webhook, review(VIRTUAL_SERVICE));
        assert.equal(responseOf(text).allowed, isAllowed);
        assert.equal(responseOf(text).uid, 'u1');
        assert.match(text, says);
      } finally {
        await webhook.close();
      }
    });
  }

  it('is an HTTP error if the review cannot be named', async () => {
    const webhook = await openTestWebhook(always({ kind: 'busy' }));
    try {
      assert.equal((await ask(webhook, '{}')).status, 503);
    } finally {
      await webhook.close();
    }
  });

  it('is an HTTP error if the validator breaks its word', async () => {
    const webhook = await openTestWebhook({
      validate: () => Promise.reject(new Error('broken')),
      close: () => Promise.resolve(),
    });
    try {
      assert.equal((await ask(webhook, review(VIRTUAL_SERVICE))).status, 500);
    } finally {
      await webhook.close();
    }
  });

  it('answers what it has before it closes', async () => {
    const answer = Promise.withResolvers<ValidationOutcome>();
    const asked = Promise.withResolvers<void>();
    const webhook = await openTestWebhook({
      validate: () => {
        asked.resolve();
        return answer.promise;
      },
      close: () => Promise.resolve(),
    });
    const pending = ask(webhook, review(VIRTUAL_SERVICE));
    await asked.promise;
    const closed = webhook.close();
    answer.resolve({ kind: 'busy' });
    assert.equal((await pending).status, 200);
    await closed;
  });
});
