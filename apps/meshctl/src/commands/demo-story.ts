/**
 * The steps of the demo, in order. Each applies an object, asks something of the mesh, and checks what it saw: a step
 * that does not see what it tells about throws.
 */
import assert from 'node:assert/strict';
import type { Lab } from '@ambit/lab';
import { bars, type Paper } from './demo-paint.ts';
import { type Shop, stepYaml } from './demo-shop.ts';

export interface Scene {
  readonly lab: Lab;
  readonly shop: Shop;
  readonly paper: Paper;
}

export interface Step {
  readonly title: string;
  play(scene: Scene): Promise<void>;
}

const LAB = '--name demo';
const EXEC = `npm run -s meshctl -- lab exec ${LAB}`;
const CHANGE_MS = 15_000;
const WAYPOINT_MS = 20_000;
/** Enough for a bar that tells 80 from 75. */
const CANARY_REQUESTS = 400;
/** Five standard deviations of that many requests at 20 %. */
const CANARY_POINTS_MAX = 10;
const SECRET = 'the-secret-of-the-bookshop';

/** Repeats a question until its answer is right; the last wrong one is the failure. */
async function until(
  lab: Lab,
  what: string,
  check: () => Promise<void>,
  timeoutMs = CHANGE_MS,
): Promise<void> {
  await lab.waitFor(
    async () => {
      await check();
      return true;
    },
    { what, timeoutMs },
  );
}

function identity(value: unknown): string {
  return typeof value === 'string' ? value.replace('spiffe://', '') : 'nobody';
}

const enrolled: Step = {
  title: 'Enrolled: one label on the namespace, nothing in the pods',
  async play({ lab, shop, paper }) {
    paper.object(
      'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels:\n    istio.io/dataplane-mode: ambient',
    );
    paper.labelled('asked', '20 × GET http://productpage/ from pod client');
    const tally = await shop.ask('client', 'http://productpage/', 20, '--by', 'details.version');
    assert.deepEqual(tally.statuses, { 200: 20 }, 'every request is answered');
    const pods = lab.status().pods.filter(({ namespace }) => namespace === 'shop');
    const nodes = Object.groupBy(pods, ({ node }) => node);
    const places = Object.entries(nodes).map(
      ([node, here]) => `${node}: ${here?.map(({ name }) => name).join(', ')}`,
    );
    paper.labelled('saw', `${bars({ 'status 200': 20 })}\n${places.join('\n')}`);
    paper.labelled('try', `${EXEC} client -- node client.mjs http://productpage/`);
  },
};

const encrypted: Step = {
  title: 'mTLS: both sides have an identity, and nothing crosses in clear',
  async play({ lab, shop, paper }) {
    const yaml = stepYaml('strict-mtls');
    paper.object(yaml);
    lab.apply(yaml);
    const stranger = async (): Promise<void> => {
      const { isGood } = await shop.askOnce('stranger', 'http://productpage.shop/');
      assert.equal(isGood, false, 'a pod outside the mesh is refused');
    };
    await until(lab, 'the stranger to be refused', stranger);
    const capture = await lab.capture();
    const answer = await shop.askOnce('client', `http://reviews/${SECRET}`);
    await shop.ask('client', `http://details/${SECRET}`, 10);
    await capture.stop();
    assert.equal(answer.isGood, true, answer.text);
    assert.equal(capture.contains(SECRET), false, 'the secret is not seen on the wire');
    const frames = capture.frames().length;
    assert.ok(frames > 0, 'the capture saw frames between the nodes');
    paper.labelled(
      'asked',
      `11 × GET with "${SECRET}" in the path, and a capture of the wire between the nodes`,
    );
    const line = shop.accessLines('"direction":"outbound"', 'sa/client', 'sa/details').at(-1);
    assert.ok(line, 'an agent logged the connection');
    const refusal = shop.accessLines('"direction":"inbound"', 'PeerAuthentication').at(-1);
    assert.ok(refusal, 'an agent logged the refusal');
    paper.labelled(
      'saw',
      `${identity(line['src.identity'])}  ──mTLS──▶  ${identity(line['dst.identity'])}\n` +
        `${frames} frames captured, "${SECRET}" in 0 of them\n` +
        `stranger (outside the mesh, in clear): ${String(refusal['error'])}`,
    );
    paper.labelled('try', `${EXEC} stranger -- node client.mjs http://productpage.shop/`);
  },
};

const weights: Step = {
  title: 'Canary by weight: one reader in five gets the new reviews',
  async play({ lab, shop, paper }) {
    const yaml = stepYaml('canary-weight');
    paper.object(yaml.slice(yaml.indexOf('---') + 4));
    lab.apply(yaml);
    paper.tell('Weights need HTTP: the mesh starts a waypoint for the namespace by itself.');
    const isRouted = async (): Promise<void> => {
      const { fields } = await shop.ask('client', 'http://reviews/', 30);
      assert.equal(fields['v3'] ?? 0, 0, 'nobody gets v3');
      assert.ok((fields['v2'] ?? 0) > 0 && (fields['v1'] ?? 0) > 0, JSON.stringify(fields));
    };
    await until(lab, 'the route', isRouted, WAYPOINT_MS);
    paper.labelled('asked', `${CANARY_REQUESTS} × GET http://reviews/ from pod client`);
    const tally = await shop.ask('client', 'http://reviews/', CANARY_REQUESTS);
    paper.labelled('saw', bars(tally.fields));
    assert.deepEqual(tally.statuses, { 200: CANARY_REQUESTS }, 'every request is answered');
    const share = ((tally.fields['v2'] ?? 0) / CANARY_REQUESTS) * 100;
    assert.ok(Math.abs(share - 20) <= CANARY_POINTS_MAX, `v2 got ${share} % instead of 20 %`);
    paper.labelled('try', `${EXEC} client -- node client.mjs -n 100 http://reviews/`);
  },
};

const header: Step = {
  title: 'Canary by header: testers get v3, everybody else stays',
  async play({ lab, shop, paper }) {
    const yaml = stepYaml('canary-header');
    paper.object(yaml);
    lab.apply(yaml);
    const tester = ['-H', 'end-user: tester'];
    const isRouted = async (): Promise<void> => {
      const { fields } = await shop.ask('client', 'http://reviews/', 5, ...tester);
      assert.deepEqual(fields, { v3: 5 });
    };
    await until(lab, 'the route', isRouted);
    paper.labelled('asked', '50 × GET http://reviews/ with "end-user: tester", 50 × without');
    const [testers, others] = [
      await shop.ask('client', 'http://reviews/', 50, ...tester),
      await shop.ask('client', 'http://reviews/', 50),
    ];
    assert.deepEqual([testers.fields, others.fields], [{ v3: 50 }, { v1: 50 }]);
    paper.labelled('saw', `testers  ${bars(testers.fields)}\nothers   ${bars(others.fields)}`);
    paper.labelled(
      'try',
      `${EXEC} client -- node client.mjs -H 'end-user: tester' http://reviews/`,
    );
  },
};

const denied: Step = {
  title: 'Deny: only the reviews may read ratings',
  async play({ lab, shop, paper }) {
    const yaml = stepYaml('deny');
    paper.object(yaml);
    lab.apply(yaml);
    paper.labelled(
      'asked',
      'GET http://ratings/ from client; http://reviews/, which calls ratings, as tester',
    );
    let refusal = '';
    const isRefused = async (): Promise<void> => {
      const { isGood, text } = await shop.askOnce('client', 'http://ratings/');
      assert.equal(isGood, false, 'the client is refused');
      assert.match(text, /RBAC: access denied/);
      refusal = text;
      const page = await shop.askOnce('client', 'http://reviews/', '-H', 'end-user: tester');
      assert.match(page.text, /"stars":\[5,4\]/, 'the reviews still get their stars');
    };
    await until(lab, 'the policy', isRefused);
    const line = shop
      .accessLines('ratings-readers')
      .findLast((entry) => entry['response_code'] === 403);
    assert.ok(line !== undefined, 'the waypoint logged the refusal with its policy');
    const by = `\nrefused by waypoint shop/waypoint, by ${String(line['policy'])}, for ${identity(line['src.identity'])}`;
    paper.labelled(
      'saw',
      `client  ▶ ratings: ${refusal}${by}\nreviews ▶ ratings: 200, "stars": [5, 4]`,
    );
    paper.labelled('try', `${EXEC} client -- node client.mjs -i http://ratings/`);
  },
};

const why: Step = {
  title: 'Why: the code that refused explains itself',
  async play({ shop, paper }) {
    const argv = ['why', 'shop/client', 'ratings.shop:80', '--method', 'GET', '--path', '/'];
    paper.labelled('asked', `meshctl ${argv.join(' ')}`);
    const { code, text } = await shop.meshctl(...argv);
    assert.equal(code, 1, text);
    assert.match(text, /ratings-readers/, 'it names the policy');
    paper.labelled('saw', text);
    paper.labelled('try', `npm run -s meshctl -- ${argv.join(' ')}`);
  },
};

const killed: Step = {
  title: 'The controller is killed: nothing notices',
  async play({ lab, shop, paper }) {
    await lab.stopComponent('controller');
    paper.labelled(
      'asked',
      '100 × GET http://productpage/, each a new connection, without a controller',
    );
    const tally = await shop.ask('client', 'http://productpage/', 100, '--by', 'service');
    assert.deepEqual(tally.statuses, { 200: 100 }, JSON.stringify(tally.errors));
    const denied = await shop.askOnce('client', 'http://ratings/');
    assert.equal(denied.isGood, false, 'policy goes on');
    const stranger = await shop.askOnce('stranger', 'http://productpage.shop/');
    assert.equal(stranger.isGood, false, 'mTLS goes on');
    paper.labelled(
      'saw',
      `${bars({ 'status 200': 100 })}\nratings still refuse the client, the shop still refuses the stranger`,
    );
    paper.labelled('try', `npm run -s meshctl -- lab status ${LAB}`);
  },
};

const restored: Step = {
  title: 'Restored: it comes back, and changes arrive again',
  async play({ lab, shop, paper }) {
    lab.startComponent('controller');
    lab.delete('AuthorizationPolicy/shop/ratings-readers');
    paper.labelled(
      'asked',
      'GET http://ratings/ from client, after AuthorizationPolicy shop/ratings-readers was deleted',
    );
    const isBack = async (): Promise<void> => {
      const { isGood, text } = await shop.askOnce('client', 'http://ratings/');
      assert.equal(isGood, true, text);
    };
    await until(lab, 'the change', isBack, WAYPOINT_MS);
    const tally = await shop.ask('client', 'http://productpage/', 20, '--by', 'service');
    assert.deepEqual(tally.statuses, { 200: 20 });
    paper.labelled('saw', bars({ 'status 200': 20 }));
    paper.labelled('try', 'npm run -s meshctl -- status');
  },
};

export const STORY: readonly Step[] = [
  enrolled,
  encrypted,
  weights,
  header,
  denied,
  why,
  killed,
  restored,
];
