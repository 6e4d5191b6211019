"""The web service: a second reader for a clinic's research, that knows when not to answer.

options     what a start is given            engine     bundle -> predictions, in micro-batches
tables      what is stored                   jobs       batches that go on in the background
store       database, transactions           api        /api/v1
blobs       image files by content hash      pages      what readers see
uploads     bytes -> clean picture + facts   texts      every text, English and German
accounts    who is asking                    silent     answers against histology
trail       what was done, append only       export     CSV, JSON, PDF
site        settings, changed by an admin    app        all of it as one application
cases, readings, answers, worklist: what is done with lesions
"""
