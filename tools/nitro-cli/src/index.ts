export { makeParent, type ParentOptions } from './make-parent.ts';
