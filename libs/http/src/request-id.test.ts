import assert from 'node:assert/strict';
import { it } from 'node:test';
import { newRequestId } from './request-id.ts';

it('names of requests are UUIDs by form, and no two are the same', () => {
  const names = new Set<string>();
  for (let index = 0; index < 5_000; index += 1) {
    const name = newRequestId();
    assert.match(name, /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    names.add(name);
  }
  assert.equal(names.size, 5_000);
});
