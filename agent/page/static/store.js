// What the page shows: one state, and who wants to know when a part of it changes.

export const state = {
  at: null, // the event that is looked back to; null: now
  status: null,
  desk: null, // the loop behind the page, as it was heard of last
  proposal: null, // {waiting, proposal}: what is shown, and what an answer to it names
  shownAt: 0, // when that was shown, on the clock of the page
  clusters: [],
  about: null, // the maps there are
  method: "umap",
  dimensions: 2,
  by: "cluster",
  names: true,
  ghosts: true,
  density: false, // contours on the 2-D map
  lasso: false,
  query: { search: "", filters: {}, selection: "", near: "" },
  nearTo: "", // what the rows are near to, in words
  byMeaning: false,
  chosen: [], // positions of the rows of the selection
  row: null, // the row in the drawer
  compare: null, // the event of the round that the clusters are compared with
  cluster: null, // the cluster in the drawer
  lower: "rows",
  side: "overview",
  theme: "light",
};

const wanting = [];

/** Call `act` whenever one of the parts named changes. */
export function on(names, act) {
  wanting.push([names.split(" "), act]);
}

/** Change parts of the state, and tell those who want to know. */
export function set(patch) {
  const changed = Object.keys(patch).filter((name) => state[name] !== patch[name]);
  Object.assign(state, patch);
  for (const [names, act] of wanting) if (names.some((name) => changed.includes(name))) act(state);
}

/** Change the query; the rest of it stays. */
export function ask(patch) {
  set({ query: { ...state.query, ...patch } });
}

/** Put a value into the filter of a facet, or take it out. */
export function toggle(facet, value) {
  const before = state.query.filters[facet] ?? [];
  const after = before.includes(value) ? before.filter((one) => one !== value) : [...before, value];
  const filters = { ...state.query.filters, [facet]: after };
  if (!after.length) delete filters[facet];
  ask({ filters });
}

export const narrowed = () =>
  Boolean(state.query.search.trim() || state.query.near || state.query.selection || Object.keys(state.query.filters).length);
