/**
 * What a listener with `delivery: 'broadcast'` is given. What is too large for NOTIFY, 8,000 bytes, is `truncated`: `old`
 * and `new` have the fields of the key alone, and of a very large context or key nothing is left.
 */
export type Broadcast<C> = (C & { readonly truncated: false }) | (KeysOnly<C> & { readonly truncated: true })

type KeysOnly<C> = C extends { readonly old: infer Old; readonly new: infer New }
  ? Omit<C, 'old' | 'new'> & { readonly old: Partial<Old>; readonly new: Partial<New> }
  : C
