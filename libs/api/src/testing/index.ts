/** Objects as people write them, for tests of other packages. Imported as `@ambit/api/testing`. */
export { ARTICLE_CASES, type ArticleCase } from './article-cases.ts';
export { SAMPLES } from './samples.ts';
