/** What `parseObject` says about the YAML of articles on service meshes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatFinding } from './format-finding.ts';
import { parseObject } from './parse-object.ts';
import { ARTICLE_CASES } from './testing/article-cases.ts';
import { parseYaml } from './yaml.ts';

describe('YAML of articles', () => {
  for (const { title, text, says, texts = [], spec } of ARTICLE_CASES) {
    it(`says what is so about ${title}`, () => {
      const { documents, findings: broken } = parseYaml(text, { source: 'article.yaml' });
      assert.deepEqual(broken, []);
      const result = parseObject(documents[0]?.value);
      const findings = result.findings.filter(({ severity }) => severity !== 'info');
      assert.deepEqual(
        findings.map(({ severity, code, path }) => `${severity} ${code} ${path}`),
        says,
      );
      const all = result.findings.map((finding) => formatFinding(finding)).join('\n');
      for (const part of texts) assert.ok(all.includes(part), `${part} is in:\n${all}`);
      assert.equal(
        result.object !== undefined,
        !says.some((line) => line.startsWith('error')) &&
          !/KIND|ConfigMap/.test(says.join() + text),
      );
      if (spec !== undefined) spec((result.object as unknown as { spec: never }).spec);
    });
  }
});
