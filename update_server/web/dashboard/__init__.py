"""The pages for people, on the admin app: what is rolling, is it hurting anyone, and the brake.

Nothing is computed here: a view shows what the API answers (``web.admin``), and a control calls
what the API calls. So page, command line and API cannot disagree. ``site`` puts it together.
"""
