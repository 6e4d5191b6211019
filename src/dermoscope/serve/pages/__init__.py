"""The pages that readers see: one module for each screen; `common` draws them."""
