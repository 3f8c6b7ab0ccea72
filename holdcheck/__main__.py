from holdcheck.cli import main

raise SystemExit(main())
